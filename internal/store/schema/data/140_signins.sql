-- Sign-ins at systems that somebody began with a browser: by whom, for what, and how far they came. Of the link, the
-- state and the browser's cookie there are hashes only; nothing here opens anything.
CREATE TABLE signins (
    workspace    TEXT NOT NULL REFERENCES workspaces (id),
    id           TEXT NOT NULL,
    member       TEXT NOT NULL,
    connection   TEXT NOT NULL,
    instance_url TEXT NOT NULL,
    login_url    TEXT NOT NULL,
    client_id    TEXT NOT NULL,
    status       TEXT NOT NULL,
    secret       BLOB NOT NULL,
    browser      BLOB NOT NULL,
    kind         TEXT NOT NULL,
    message      TEXT NOT NULL,
    expires      BIGINT NOT NULL,
    PRIMARY KEY (workspace, id)
);
