-- Whose a token is, so that what is to be forgotten is found without reading all that is kept. It stands last in scopes.
ALTER TABLE tokens ADD COLUMN person TEXT NOT NULL DEFAULT '';

UPDATE tokens SET person = replace(scopes, rtrim(scopes, 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_~-'), '')
    WHERE scopes LIKE '%person/%';

CREATE INDEX tokens_person ON tokens (workspace, person, id) WHERE person <> '';
CREATE INDEX tokens_texts ON tokens (workspace, id) WHERE kind IN ('value', 'text') AND scopes <> '';
