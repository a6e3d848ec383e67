-- Providers of models that administrators registered, each version of them. Nothing personal: ids of members, and what
-- was agreed with whom.
CREATE TABLE providers (
    workspace TEXT   NOT NULL REFERENCES workspaces (id),
    name      TEXT   NOT NULL,
    version   BIGINT NOT NULL,
    status    TEXT   NOT NULL,
    body      BLOB   NOT NULL, -- JSON
    PRIMARY KEY (workspace, name, version)
);
