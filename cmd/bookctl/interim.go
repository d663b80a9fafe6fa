package main

import (
	"context"

	"github.com/bookctl/bookctl/internal/provision"
)

func diagnosed(ctx context.Context, s streams, stack *provision.Stack, err error) error { return err }
