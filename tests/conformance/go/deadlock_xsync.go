// A group that waits for its functions, one of which waits for a semaphore, one for a channel.
package main

import (
	"context"
	"runtime"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

var sem = semaphore.NewWeighted(2)

func receive() error {
	<-make(chan int)
	return nil
}

func acquire() error {
	return sem.Acquire(context.Background(), 1)
}

func main() {
	sem.TryAcquire(2)
	var g errgroup.Group
	g.Go(receive)
	runtime.Gosched()
	g.Go(acquire)
	runtime.Gosched()
	g.Wait()
}
