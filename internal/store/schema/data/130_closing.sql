-- Workspaces that are closed, or were. A row outlasts all others of its workspace: it is what proves that they went.
CREATE TABLE closings (
    workspace TEXT PRIMARY KEY,
    state     TEXT NOT NULL,
    body      BLOB NOT NULL -- JSON without anything personal: who asked by id, when, and the certificate once there is one
);
