module github.com/stewardhq/steward/internal/sandbox/clients

go 1.26.0
