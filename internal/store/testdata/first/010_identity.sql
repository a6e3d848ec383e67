-- Workspaces, members and API tokens. Addresses are sealed or keyed digests; tokens are hashes.
CREATE TABLE workspaces (
    id      TEXT PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE,
    region  TEXT NOT NULL,
    created BIGINT NOT NULL
);

CREATE TABLE members (
    workspace TEXT NOT NULL REFERENCES workspaces (id),
    id        TEXT NOT NULL,
    person    TEXT NOT NULL,
    role      TEXT NOT NULL,
    email     BLOB NOT NULL,
    scopes    TEXT NOT NULL,
    box       BLOB NOT NULL,
    created   BIGINT NOT NULL,
    PRIMARY KEY (workspace, id),
    UNIQUE (workspace, email)
);

CREATE TABLE api_tokens (
    hash      BLOB PRIMARY KEY,
    workspace TEXT NOT NULL REFERENCES workspaces (id),
    id        TEXT NOT NULL,
    member    TEXT NOT NULL,
    created   BIGINT NOT NULL,
    expires   BIGINT NOT NULL,
    revoked   BIGINT NOT NULL, -- 0 while the token is good
    UNIQUE (workspace, id)
);
