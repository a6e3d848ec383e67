package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/api/providers"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/llm"
)

func (s *Server) providers(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	all, err := s.Providers.List(r.Context(), caller)
	if err == nil {
		reply(w, http.StatusOK, map[string]any{"providers": all})
	}
	return err
}

func (s *Server) registerProvider(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	body, err := read[llm.Provider](r)
	if err != nil {
		return err
	}
	e, err := s.Providers.Register(r.Context(), caller, body)
	if err == nil {
		reply(w, http.StatusCreated, e)
	}
	return err
}

func (s *Server) settleProvider(settle func(context.Context, identity.Caller, string, int) (providers.Entry, error)) handler {
	return func(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
		version, err := strconv.Atoi(r.PathValue("version"))
		if err != nil {
			return steward.Errorf(steward.Invalid, "a provider's version is a number; `steward provider list` shows it")
		}
		e, err := settle(r.Context(), caller, r.PathValue("name"), version)
		if err == nil {
			reply(w, http.StatusOK, e)
		}
		return err
	}
}
