// The first error ends the group's context and is what Wait returns.
package main

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
)

func main() {
	g, ctx := errgroup.WithContext(context.Background())
	bad := errors.New("no good")
	started := make(chan bool)
	for i := range 3 {
		g.Go(func() error {
			started <- true
			<-ctx.Done()
			fmt.Println("stopped:", ctx.Err(), "because", context.Cause(ctx))
			if i == 0 {
				return ctx.Err()
			}
			return nil
		})
	}
	for range 3 {
		<-started
	}
	g.Go(func() error { return bad })
	err := g.Wait()
	fmt.Println(err, err == bad)

	var fine errgroup.Group
	sum := 0
	for i := range 4 {
		fine.Go(func() error {
			sum += i
			return nil
		})
	}
	fmt.Println(fine.Wait() == nil, sum)

	g, ctx = errgroup.WithContext(context.Background())
	g.Go(func() error { return nil })
	fmt.Println("before", ctx.Err() == nil)
	g.Wait()
	fmt.Println("after", ctx.Err(), context.Cause(ctx))
}
