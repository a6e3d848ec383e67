package main

import "context"

func runDemo(ctx context.Context, in *invocation) error { return in.misused("not yet") }
