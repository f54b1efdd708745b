package main

import "context"

func timers(context.Context, *bed) (figures, error) { return nil, nil }
