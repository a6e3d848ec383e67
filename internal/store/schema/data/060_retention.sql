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
