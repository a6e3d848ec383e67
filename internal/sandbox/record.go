package sandbox

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
)

func (s *Server) get(w http.ResponseWriter, c *call) error {
	var fields []string
	for _, name := range strings.Split(c.URL.Query().Get("fields"), ",") {
		if name = strings.TrimSpace(name); name != "" {
			fields = append(fields, name)
		}
	}
	record, err := c.engine.Get(c.user, c.PathValue("object"), c.PathValue("id"), fields)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := writeRecord(&b, c.base, record); err != nil {
		return err
	}
	sendJSON(w, http.StatusOK, b.Bytes())
	return nil
}

func (s *Server) create(w http.ResponseWriter, c *call) error {
	var values map[string]any
	if err := read(c, &values, false); err != nil {
		return err
	}
	id, err := c.engine.Create(c.user, c.PathValue("object"), values)
	if err != nil {
		return err
	}
	w.Header().Set("Location", c.base+"/sobjects/"+c.engine.ObjectOf(id)+"/"+id)
	send(w, http.StatusCreated, struct {
		ID      string `json:"id"`
		Success bool   `json:"success"`
		Errors  []any  `json:"errors"`
	}{id, true, []any{}})
	return nil
}

func (s *Server) update(w http.ResponseWriter, c *call) error {
	var values map[string]any
	if err := read(c, &values, false); err != nil {
		return err
	}
	if err := c.engine.Update(c.user, c.PathValue("object"), c.PathValue("id"), values); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) remove(w http.ResponseWriter, c *call) error {
	if err := c.engine.Delete(c.user, c.PathValue("object"), c.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) welcome(w http.ResponseWriter, _ *call) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := fmt.Fprint(w, "This is a sandbox: a Salesforce-compatible org of invented people and invented deals.\n"+
		"Its API is under /services/data. Nothing in it is real, and nothing in it is kept.\n")
	return err
}

func (s *Server) versions(w http.ResponseWriter, _ *call) error {
	type version struct {
		Label   string `json:"label"`
		URL     string `json:"url"`
		Version string `json:"version"`
	}
	var all []version
	for n := oldestVersion; n <= newestVersion; n++ {
		// Three releases a year; version 50.0 was Winter '21.
		season := []string{"Winter", "Spring", "Summer"}[(n-oldestVersion)%3]
		all = append(all, version{
			fmt.Sprintf("%s '%d", season, 21+(n-oldestVersion)/3), fmt.Sprintf("/services/data/v%d.0", n), fmt.Sprintf("%d.0", n),
		})
	}
	send(w, http.StatusOK, all)
	return nil
}

func instanceURL(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func (s *Server) identityURL(c *call) string {
	return instanceURL(c.Request) + "/id/" + s.engine.OrgID() + "/" + c.user
}

// person is what a user is told about themselves, in the words that both endpoints share.
func (s *Server) person(c *call) map[string]any {
	row := s.engine.Profile(c.user)
	locale := row.Text("LocaleSidKey")
	base := instanceURL(c.Request)
	return map[string]any{
		"sub": s.identityURL(c), "user_id": c.user, "organization_id": s.engine.OrgID(), "email": row.Text("Email"),
		"email_verified": true, "active": true, "user_type": "STANDARD", "locale": locale,
		"language": locale, "updated_at": row.Text("LastModifiedDate"),
		"urls": map[string]string{
			"rest":     base + "/services/data/v{version}/",
			"sobjects": base + "/services/data/v{version}/sobjects/",
			"query":    base + "/services/data/v{version}/query/",
		},
	}
}

func (s *Server) userInfo(w http.ResponseWriter, c *call) error {
	row, me := s.engine.Profile(c.user), s.person(c)
	me["preferred_username"] = row.Text("Username")
	me["name"] = row.Text("Name")
	me["given_name"] = row.Text("FirstName")
	me["family_name"] = row.Text("LastName")
	me["zoneinfo"] = row.Text("TimeZoneSidKey")
	send(w, http.StatusOK, me)
	return nil
}

func (s *Server) identity(w http.ResponseWriter, c *call) error {
	if c.PathValue("org") != s.engine.OrgID() || c.PathValue("user") != c.user {
		return refusal(http.StatusNotFound, "NOT_FOUND", "The requested resource does not exist")
	}
	row, me := s.engine.Profile(c.user), s.person(c)
	me["id"] = me["sub"]
	me["username"] = row.Text("Username")
	me["display_name"] = row.Text("Name")
	me["first_name"] = row.Text("FirstName")
	me["last_name"] = row.Text("LastName")
	me["timezone"] = row.Text("TimeZoneSidKey")
	send(w, http.StatusOK, me)
	return nil
}
