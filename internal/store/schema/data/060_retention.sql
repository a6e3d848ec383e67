-- Requests to forget somebody that wait for a second administrator.
CREATE TABLE erasures_asked (
    workspace TEXT NOT NULL REFERENCES workspaces (id),
    id        TEXT NOT NULL,
    member    TEXT NOT NULL,
    about     BLOB NOT NULL, -- a keyed digest of the person's records
    asked     BIGINT NOT NULL,
    PRIMARY KEY (workspace, id),
    UNIQUE (workspace, about)
);

-- How long workspaces keep what, where that is not the default.
CREATE TABLE retention_days (
    workspace TEXT NOT NULL REFERENCES workspaces (id),
    class     TEXT NOT NULL,
    days      BIGINT NOT NULL,
    PRIMARY KEY (workspace, class)
);

-- Scopes whose keys are being destroyed on schedule, until what they sealed is gone too.
CREATE TABLE purges (
    workspace TEXT NOT NULL,
    scope     TEXT NOT NULL,
    PRIMARY KEY (workspace, scope)
);

CREATE TABLE holds (
    workspace TEXT NOT NULL REFERENCES workspaces (id),
    id        TEXT NOT NULL,
    ground    TEXT NOT NULL,
    member    TEXT NOT NULL,
    since     BIGINT NOT NULL,
    PRIMARY KEY (workspace, id)
);
