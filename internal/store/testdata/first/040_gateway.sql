-- Connections, credentials, proposals and usage. Credentials and proposals are sealed.
CREATE TABLE connections (
    workspace    TEXT NOT NULL REFERENCES workspaces (id),
    id           TEXT NOT NULL,
    instance_url TEXT NOT NULL,
    org          TEXT NOT NULL,
    created      BIGINT NOT NULL,
    PRIMARY KEY (workspace, id)
);

CREATE TABLE credentials (
    workspace  TEXT NOT NULL,
    connection TEXT NOT NULL,
    member     TEXT NOT NULL,
    scopes     TEXT NOT NULL,
    box        BLOB NOT NULL,
    PRIMARY KEY (workspace, connection, member),
    FOREIGN KEY (workspace, connection) REFERENCES connections (workspace, id)
);

CREATE TABLE proposals (
    workspace  TEXT NOT NULL REFERENCES workspaces (id),
    id         TEXT NOT NULL,
    run        TEXT NOT NULL,
    member     TEXT NOT NULL,
    needs      TEXT NOT NULL,
    status     TEXT NOT NULL,
    decided_by TEXT NOT NULL,
    created    BIGINT NOT NULL,
    expires    BIGINT NOT NULL,
    scopes     TEXT NOT NULL,
    box        BLOB NOT NULL,
    PRIMARY KEY (workspace, id)
);

CREATE INDEX proposals_waiting ON proposals (workspace, created) WHERE status = 'waiting';

-- A row here is a spent approval of one call: it is never carried out again.
CREATE TABLE proposals_taken (
    workspace TEXT NOT NULL,
    proposal  TEXT NOT NULL,
    call      INTEGER NOT NULL,
    PRIMARY KEY (workspace, proposal, call)
);

CREATE TABLE usage_by_run (
    workspace TEXT NOT NULL,
    run       TEXT NOT NULL,
    records   BIGINT NOT NULL,
    amount    DOUBLE PRECISION NOT NULL,
    untrusted INTEGER NOT NULL,
    PRIMARY KEY (workspace, run)
);

CREATE TABLE usage_by_day (
    workspace TEXT NOT NULL,
    member    TEXT NOT NULL,
    day       TEXT NOT NULL,
    records   BIGINT NOT NULL,
    amount    DOUBLE PRECISION NOT NULL,
    calls     BIGINT NOT NULL,
    PRIMARY KEY (workspace, member, day)
);
