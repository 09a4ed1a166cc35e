// The end of the process, asked for by a goroutine that is not main.
package main

import (
	"fmt"
	"os"
)

func leave() {
	os.Exit(7)
}

func main() {
	fmt.Println("before")
	go leave()
	select {}
}
