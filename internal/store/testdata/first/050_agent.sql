-- Conversations and runs. A run's state is sealed.
CREATE TABLE conversations (
    workspace TEXT NOT NULL REFERENCES workspaces (id),
    id        TEXT NOT NULL,
    member    TEXT NOT NULL,
    created   BIGINT NOT NULL,
    PRIMARY KEY (workspace, id)
);

CREATE TABLE runs (
    workspace    TEXT NOT NULL REFERENCES workspaces (id),
    id           TEXT NOT NULL,
    conversation TEXT NOT NULL,
    member       TEXT NOT NULL,
    status       TEXT NOT NULL,
    created      BIGINT NOT NULL,
    updated      BIGINT NOT NULL,
    version      BIGINT NOT NULL,
    scopes       TEXT NOT NULL,
    box          BLOB NOT NULL,
    PRIMARY KEY (workspace, id)
);

CREATE INDEX runs_unfinished ON runs (workspace, created) WHERE status IN ('running', 'waiting');
