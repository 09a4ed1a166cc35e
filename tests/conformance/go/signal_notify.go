// Signals that the program sends itself: asked for, asked for by two, stopped, ignored.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func send(sig syscall.Signal) {
	syscall.Kill(os.Getpid(), sig)
}

func main() {
	a, b := make(chan os.Signal, 4), make(chan os.Signal, 4)
	signal.Notify(a, syscall.SIGUSR1, syscall.SIGUSR2)
	signal.Notify(b, syscall.SIGUSR2)
	send(syscall.SIGUSR1)
	fmt.Println("a:", <-a)
	send(syscall.SIGUSR2)
	fmt.Println("a:", <-a)
	fmt.Println("b:", <-b)

	signal.Stop(a)
	send(syscall.SIGUSR2)
	fmt.Println("b:", <-b, "left for a", len(a))

	signal.Ignore(syscall.SIGUSR1)
	fmt.Println("ignored", signal.Ignored(syscall.SIGUSR1), signal.Ignored(syscall.SIGUSR2))
	send(syscall.SIGUSR1)
	send(syscall.SIGUSR2)
	fmt.Println("b:", <-b, "left", len(a), len(b))

	full := make(chan os.Signal) // no room, nobody there: the signal is dropped
	signal.Notify(full, syscall.SIGUSR2)
	send(syscall.SIGUSR2)
	fmt.Println("b:", <-b, "left", len(full))
	signal.Notify(a, syscall.SIGUSR1)
	fmt.Println("ignored", signal.Ignored(syscall.SIGUSR1))
}
