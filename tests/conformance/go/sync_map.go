// What each operation of a Map returns, present and absent.
package main

import (
	"fmt"
	"slices"
	"sync"
)

func show(what string, v any, ok bool) {
	if v == nil {
		v = "none"
	}
	fmt.Println(what, v, ok)
}

func main() {
	var m sync.Map
	v, ok := m.Load("a")
	show("load", v, ok)
	m.Store("a", 1)
	v, ok = m.Load("a")
	show("load", v, ok)
	v, ok = m.LoadOrStore("a", 2)
	show("load or store", v, ok)
	v, ok = m.LoadOrStore("b", 3)
	show("load or store", v, ok)
	v, ok = m.Swap("b", 4)
	show("swap", v, ok)
	v, ok = m.Swap("c", 5)
	show("swap", v, ok)
	fmt.Println("compare and swap", m.CompareAndSwap("c", 0, 6), m.CompareAndSwap("c", 5, 6), m.CompareAndSwap("z", 5, 6))
	fmt.Println("compare and delete", m.CompareAndDelete("c", 5), m.CompareAndDelete("c", 6), m.CompareAndDelete("c", 6))
	v, ok = m.LoadAndDelete("b")
	show("load and delete", v, ok)
	v, ok = m.LoadAndDelete("b")
	show("load and delete", v, ok)
	m.Delete("nobody")

	for i := range 5 {
		m.Store(fmt.Sprint("key", i), i)
	}
	var seen []string
	m.Range(func(k, v any) bool {
		seen = append(seen, fmt.Sprint(k, "=", v))
		m.Delete(k)
		return true
	})
	slices.Sort(seen)
	fmt.Println(seen)
	m.Store("a", 1)
	m.Store("b", 2)
	n := 0
	m.Range(func(k, v any) bool {
		n++
		return false
	})
	fmt.Println("stopped after", n)
	m.Clear()
	v, ok = m.Load("a")
	show("cleared", v, ok)
}
