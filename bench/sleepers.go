package main

import "context"

func sleepers(context.Context, *bed) (figures, error) { return nil, nil }
