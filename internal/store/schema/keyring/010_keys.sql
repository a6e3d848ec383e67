-- The state that the whole keyring is in. There is one row, once there is anything.
CREATE TABLE keyring_state (
	one        integer PRIMARY KEY CHECK (one = 1),
	version    bigint NOT NULL,
	mark       blob NOT NULL,
	generation bigint NOT NULL,
	workspaces bigint NOT NULL
);

-- The directory, first half: where a workspace's keys stand in the tree; number is NULL once they were
-- destroyed, all at once. Rows never go.
CREATE TABLE keyring_workspaces (
	workspace text PRIMARY KEY,
	number    bigint UNIQUE,
	next      bigint NOT NULL
);

-- Second half: where in its workspace a scope's key stands; number is NULL once it was destroyed. Rows
-- go with the workspace only.
CREATE TABLE keyring_scopes (
	workspace text NOT NULL,
	scope     text NOT NULL,
	number    bigint,
	PRIMARY KEY (workspace, scope)
);

-- The tree: each node's page of keys, sealed under the node's own key, which its parent's page holds.
CREATE TABLE keyring_nodes (
	path       blob PRIMARY KEY,
	generation bigint NOT NULL,
	sealed     blob NOT NULL
);
