package main

import "context"

func crashChild(context.Context, *config) error { return nil }
