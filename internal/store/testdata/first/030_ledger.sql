-- Where each workspace's ledger ends.
CREATE TABLE ledger_heads (
	workspace text   NOT NULL PRIMARY KEY,
	next      bigint NOT NULL, -- number of the next entry
	last_us   bigint NOT NULL, -- time of the last entry
	signed    bigint NOT NULL  -- size of the last checkpoint
);

-- One row an entry, and no other index: appending is what has to be fast.
CREATE TABLE ledger_tail (
	workspace text   NOT NULL,
	seq       bigint NOT NULL,
	header    blob   NOT NULL, -- the exact bytes that are hashed
	parts     blob,            -- sealed
	PRIMARY KEY (workspace, seq)
);

-- Intents without outcome. Deleting the row is what makes an outcome the only one.
CREATE TABLE open_intents (
	workspace text   NOT NULL,
	seq       bigint NOT NULL,
	node      text   NOT NULL, -- the process that wrote it
	PRIMARY KEY (workspace, seq)
);

CREATE TABLE ledger_checkpoints (
	workspace text   NOT NULL,
	size      bigint NOT NULL,
	note      blob   NOT NULL, -- signed
	hashes    blob   NOT NULL, -- the compact range that the next checkpoint goes on from
	PRIMARY KEY (workspace, size)
);

-- The tree's hashes, as C2SP tlog-tiles cuts them; the last of each level grows with each checkpoint.
CREATE TABLE ledger_tiles (
	workspace text   NOT NULL,
	level     bigint NOT NULL,
	n         bigint NOT NULL,
	hashes    blob   NOT NULL, -- 1 to 256, 32 bytes each
	PRIMARY KEY (workspace, level, n)
);
