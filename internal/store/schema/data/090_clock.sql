-- Until when each workspace's purger trusted the clock.
CREATE TABLE purge_clocks (
    workspace TEXT NOT NULL REFERENCES workspaces (id),
    seen      BIGINT NOT NULL, -- 0: the data was put back from a backup
    PRIMARY KEY (workspace)
);
