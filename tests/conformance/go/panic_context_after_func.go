// A function that the end of a context started fails.
package main

import "context"

func alarm() {
	panic("ValueError: the alarm is broken")
}

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	context.AfterFunc(ctx, alarm)
	cancel()
	select {}
}
