-- Erasures that are agreed on, until they are certified and from then on.
CREATE TABLE duties (
    workspace TEXT   NOT NULL,
    id        TEXT   NOT NULL,
    asked     BIGINT NOT NULL,
    about     BLOB,          -- a keyed digest of the person's records; NULL once everything of theirs is removed
    body      BLOB   NOT NULL, -- JSON without anything personal: who asked, how far it has come
    scopes    TEXT   NOT NULL, -- the duty's own, until it is complete
    box       BLOB   NOT NULL, -- who is to be forgotten, and what goes
    PRIMARY KEY (workspace, id),
    UNIQUE (workspace, about)
);

-- What certifies that something was forgotten, one each.
CREATE TABLE certificates (
    workspace TEXT   NOT NULL,
    subject   TEXT   NOT NULL, -- the id of what was asked for
    issued    BIGINT NOT NULL,
    body      BLOB   NOT NULL, -- JSON with the signed note and its key
    PRIMARY KEY (workspace, subject)
);
