// Cancelling a node ends all below it and nothing above or beside it.
package main

import (
	"context"
	"fmt"
)

type node struct {
	name   string
	ctx    context.Context
	cancel context.CancelFunc
}

func main() {
	var nodes []node
	add := func(name string, parent context.Context) context.Context {
		ctx, cancel := context.WithCancel(parent)
		nodes = append(nodes, node{name, ctx, cancel})
		return ctx
	}
	show := func(what string) {
		fmt.Print(what, ":")
		for _, n := range nodes {
			select {
			case <-n.ctx.Done():
				fmt.Print(" ", n.name, "=", n.ctx.Err())
			default:
				fmt.Print(" ", n.name, "=", n.ctx.Err())
			}
		}
		fmt.Println()
	}
	root := add("root", context.Background())
	a := add("a", root)
	b := add("b", root)
	add("aa", a)
	add("ab", context.WithValue(a, "key", 1))
	add("ba", b)
	show("all live")
	nodes[3].cancel()
	show("aa cancelled")
	nodes[1].cancel()
	nodes[1].cancel()
	show("a cancelled")
	late, cancel := context.WithCancel(a)
	defer cancel()
	fmt.Println("child of a cancelled one:", late.Err())
	nodes[0].cancel()
	show("root cancelled")
	fmt.Println(context.Background().Err(), context.Background().Done() == nil, context.TODO().Done() == nil)
}
