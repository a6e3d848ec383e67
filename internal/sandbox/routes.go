package sandbox

// recordRoutes are the resources that read and write records, below a version.
func (s *Server) recordRoutes() map[string]map[string]handler {
	return map[string]map[string]handler{
		"":                            {"GET": s.resources},
		"/limits":                     {"GET": s.limits},
		"/limits/recordCount":         {"GET": s.recordCount},
		"/recent":                     {"GET": s.recent},
		"/query":                      {"GET": s.query},
		"/query/{locator}":            {"GET": s.queryMore},
		"/queryAll":                   {"GET": s.queryAll},
		"/queryAll/{locator}":         {"GET": s.queryMore},
		"/sobjects":                   {"GET": s.describeGlobal},
		"/sobjects/{object}":          {"GET": s.basics, "POST": s.create},
		"/sobjects/{object}/describe": {"GET": s.describe},
		"/sobjects/{object}/updated":  {"GET": s.updated},
		"/sobjects/{object}/deleted":  {"GET": s.deleted},
		"/sobjects/{object}/{id}":     {"GET": s.get, "PATCH": s.update, "DELETE": s.remove},
		"/sobjects/{object}/{field}/{value}": {
			"GET": s.byKey(s.get), "PATCH": s.upsertOne, "DELETE": s.byKey(s.remove),
		},
		"/composite":                           {"POST": s.composite},
		"/composite/sobjects":                  {"POST": s.createMany, "PATCH": s.updateMany, "DELETE": s.removeMany},
		"/composite/sobjects/{object}":         {"GET": s.readMany, "POST": s.readMany},
		"/composite/sobjects/{object}/{field}": {"PATCH": s.upsertMany},
		"/composite/tree/{object}":             {"POST": s.tree},
	}
}
