// A context that a signal ends, with the signal in its cause.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGUSR1)
	defer stop()
	fmt.Println(ctx.Err())
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	<-ctx.Done()
	fmt.Println(ctx.Err(), "/", context.Cause(ctx))

	other, stopOther := signal.NotifyContext(context.Background(), syscall.SIGUSR2)
	fmt.Println(other)
	stopOther()
	fmt.Println(other.Err(), "/", context.Cause(other))

	parent, cancel := context.WithCancel(context.Background())
	child, stopChild := signal.NotifyContext(parent, syscall.SIGUSR2)
	defer stopChild()
	cancel()
	<-child.Done()
	fmt.Println(child.Err(), "/", context.Cause(child))
}
