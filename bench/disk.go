package main

import "context"

func disk(context.Context, *bed) (figures, error) { return nil, nil }
