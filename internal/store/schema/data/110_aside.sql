-- What holds are on, where that is less than the workspace: sealed, since it says who.
CREATE TABLE holds_on (
    workspace TEXT NOT NULL,
    hold      TEXT NOT NULL,
    kind      TEXT NOT NULL, -- person or run
    scopes    TEXT NOT NULL, -- the hold's own
    box       BLOB NOT NULL,
    PRIMARY KEY (workspace, hold),
    FOREIGN KEY (workspace, hold) REFERENCES holds (workspace, id) ON DELETE CASCADE
);

-- What is under a hold and would be gone: copied, as it was sealed in its place, before its scopes' keys went.
CREATE TABLE aside (
    workspace TEXT   NOT NULL,
    hold      TEXT   NOT NULL,
    home      TEXT   NOT NULL, -- where it was: a table, a row, a part
    id        TEXT   NOT NULL,
    part      BIGINT NOT NULL,
    name      TEXT   NOT NULL,
    sealed_by TEXT   NOT NULL, -- the scopes
    content   BLOB   NOT NULL, -- the ciphertext
    scopes    TEXT   NOT NULL, -- the hold's own
    box       BLOB   NOT NULL, -- the one key that opens the content
    PRIMARY KEY (workspace, hold, home, id, part),
    FOREIGN KEY (workspace, hold) REFERENCES holds (workspace, id) ON DELETE CASCADE
);
