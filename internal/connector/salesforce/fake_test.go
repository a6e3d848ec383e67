package salesforce

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stewardhq/steward/internal/connector"
)

const (
	dealID    = "006000000000001AAA"
	contactID = "003000000000001AAA"
	userID    = "005000000000001AAA"
	orgID     = "00D000000000001AAA"
)

// described are the objects of the scripted org.
var described = map[string]string{
	"Opportunity": `{"name":"Opportunity","label":"Opportunity","fields":[
		{"name":"Id","type":"id","length":18},
		{"name":"Name","type":"string","length":120,"createable":true,"updateable":true},
		{"name":"StageName","type":"picklist","createable":true,"updateable":true,"restrictedPicklist":true,"picklistValues":[{"value":"Prospecting","active":true},{"value":"Closed Won","active":true},{"value":"Old","active":false}]},
		{"name":"Amount","label":"Amount","type":"currency","nillable":true,"createable":true,"updateable":true},
		{"name":"CloseDate","type":"date","createable":true,"updateable":true},
		{"name":"NextStep","type":"string","length":255,"nillable":true,"createable":true,"updateable":true},
		{"name":"Description","type":"textarea","length":32000,"nillable":true,"createable":true,"updateable":true,"filterable":false,"sortable":false},
		{"name":"IsClosed","type":"boolean"},
		{"name":"LastModifiedDate","type":"datetime"},
		{"name":"Kickoff__c","type":"datetime","nillable":true,"createable":true,"updateable":true},
		{"name":"Site__c","type":"location","nillable":true},
		{"name":"ContactId","type":"reference","nillable":true,"createable":true,"updateable":true,"referenceTo":["Contact"],"relationshipName":"Contact"},
		{"name":"OwnerId","type":"reference","createable":true,"updateable":true,"referenceTo":["User"],"relationshipName":"Owner"}]}`,
	"User": `{"name":"User","fields":[{"name":"Id","type":"id"},{"name":"Name","type":"string"},{"name":"Email","type":"email"},{"name":"Title","type":"string"},
		{"name":"ManagerId","type":"reference","referenceTo":["User"],"relationshipName":"Manager"}]}`,
	"Contact": `{"name":"Contact","fields":[{"name":"Id","type":"id"},{"name":"Name","type":"string"},{"name":"FirstName","type":"string","createable":true,"updateable":true},
		{"name":"LastName","type":"string","createable":true,"updateable":true},
		{"name":"Email","type":"email","createable":true,"updateable":true},{"name":"Phone","type":"phone","createable":true,"updateable":true},{"name":"MailingAddress","type":"address"},
		{"name":"LastModifiedDate","type":"datetime"}]}`,
	"Task": `{"name":"Task","fields":[{"name":"Id","type":"id"},
		{"name":"Subject","type":"combobox","length":255,"createable":true,"updateable":true},
		{"name":"Status","type":"picklist","createable":true,"updateable":true},
		{"name":"Type","type":"picklist","createable":true,"updateable":true,"restrictedPicklist":true,"picklistValues":[{"value":"Call","active":true}]},
		{"name":"ActivityDate","type":"date","createable":true,"updateable":true},
		{"name":"Description","type":"textarea","createable":true,"updateable":true},
		{"name":"LastModifiedDate","type":"datetime"},
		{"name":"WhoId","type":"reference","createable":true,"updateable":true,"referenceTo":["Contact","Lead"],"relationshipName":"Who"},
		{"name":"WhatId","type":"reference","createable":true,"updateable":true,"referenceTo":["Account","Opportunity"],"relationshipName":"What"}]}`,
}

// scripted is an org that describes a few objects and answers everything else as a test says.
type scripted struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string // method and path with query, describes left out
	waits []time.Duration
}

func (s *scripted) log(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, what)
}

// requests are what was asked so far.
func (s *scripted) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func org(t testing.TB, answer http.HandlerFunc) *scripted {
	t.Helper()
	s := &scripted{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-SFDC-Request-Id", "TID:1")
		w.Header().Set("Sforce-Limit-Info", "api-usage=18/15000")
		name, isDescribe := strings.CutPrefix(r.URL.Path, "/services/data/v62.0/sobjects/")
		if name, ok := strings.CutSuffix(name, "/describe"); ok && isDescribe {
			for object, text := range described {
				if strings.EqualFold(object, name) {
					io.WriteString(w, text)
					return
				}
			}
			refuse(w, 404, "NOT_FOUND", "The requested resource does not exist")
			return
		}
		if r.Header.Get("Authorization") != "Bearer 00Dtoken!secret" {
			t.Errorf("authorization %q", r.Header.Get("Authorization"))
		}
		s.log(r.Method + " " + r.URL.RequestURI())
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func refuse(w http.ResponseWriter, status int, code, message string, fields ...string) {
	w.WriteHeader(status)
	json.NewEncoder(w).Encode([]any{map[string]any{"message": message, "errorCode": code, "fields": fields}})
}

// rows answers a query with rows given as JSON.
func rows(list ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"totalSize":%d,"done":true,"records":[%s]}`, len(list), strings.Join(list, ","))
	}
}

func (s *scripted) session() connector.Session {
	return connector.Session{Connection: "salesforce", InstanceURL: s.URL, AccessToken: "00Dtoken!secret", HTTP: s.Client()}
}

// connector is one that doesn't really wait, but notes for how long it would have.
func (s *scripted) connector() *Connector {
	return &Connector{
		Now:  func() time.Time { return time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC) },
		Wait: func(ctx context.Context, d time.Duration) error { s.waits = append(s.waits, d); return ctx.Err() },
	}
}

func (s *scripted) call(tool, args string) (connector.Reply, error) {
	return s.connector().Call(context.Background(), s.session(), tool, json.RawMessage(args))
}

func (s *scripted) preview(tool, args string) (connector.Preview, error) {
	return s.connector().Preview(context.Background(), s.session(), tool, json.RawMessage(args))
}
