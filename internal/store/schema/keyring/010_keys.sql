-- One row a scope: its key, wrapped under the root, or NULL once it was destroyed. Rows never go.
CREATE TABLE scope_keys (
	workspace text NOT NULL,
	scope     text NOT NULL,
	wrapped   blob,
	PRIMARY KEY (workspace, scope)
);
