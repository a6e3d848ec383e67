-- What tokens stand for. A row with an empty box was forgotten; it stays so that its id is never issued again.
CREATE TABLE tokens (
    workspace    TEXT   NOT NULL,
    id           TEXT   NOT NULL,
    conversation TEXT   NOT NULL,
    type         TEXT   NOT NULL,
    kind         TEXT   NOT NULL,
    issued_us    BIGINT NOT NULL,
    scopes       TEXT   NOT NULL, -- whose keys open the box
    box          BLOB   NOT NULL, -- sealed
    PRIMARY KEY (workspace, id)
);

CREATE INDEX tokens_conversation ON tokens (workspace, conversation, issued_us, id);

-- Which person a record is about, under keyed digests of the record.
CREATE TABLE persons (
    workspace TEXT NOT NULL,
    digest    TEXT NOT NULL,
    person    TEXT NOT NULL,
    PRIMARY KEY (workspace, digest)
);

CREATE INDEX persons_person ON persons (workspace, person);
