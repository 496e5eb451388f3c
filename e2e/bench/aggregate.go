// What several networks bring together: one download of 100 MB by the first alone, and by all, by turns.

package main

import (
	"fmt"
	"time"

	"midstream/e2e/lab"
)

// aggregated measures how long curl takes, against the links' rates, and the processor time against the same without Midstream.
func aggregated(b *bench) {
	const size, times = 100 << 20, 3
	first := lab.Link{Rate: 40e6, Delay: 10 * time.Millisecond, Queue: 50 * time.Millisecond}
	for _, w := range []struct {
		name   string
		others []lab.Link
		bound  float64 // of what the links would take together
	}{
		{"40 + 40 Mbit/s, 20 ms", []lab.Link{first}, 10.9 / 10.49},
		{"40 Mbit/s, 20 ms + 4, 200 ms", []lab.Link{{Rate: 4e6, Delay: 100 * time.Millisecond, Queue: 50 * time.Millisecond}}, 20.0 / 19.07},
		{"40 + 20 + 10 Mbit/s, 20 ms", []lab.Link{
			{Rate: 20e6, Delay: 10 * time.Millisecond, Queue: 50 * time.Millisecond}, {Rate: 10e6, Delay: 10 * time.Millisecond, Queue: 50 * time.Millisecond}}, 13.0 / 11.98},
	} {
		options := []lab.Option{lab.Net("wlan0", first)}
		rate := float64(first.Rate)
		for i, link := range w.others {
			options = append(options, lab.Net(fmt.Sprintf("wwan%d", i), link))
			rate += float64(link.Rate)
		}
		inner := &lab.Stage{}
		l := lab.New(inner, options...)
		root := b.path("aggregate")
		lab.Content(inner, root, "file", size, 3)
		const host = "download.example"
		for _, n := range l.Networks() {
			n.DNS(map[string][]string{host: {n.Content()}})
			n.Nginx(root, lab.ServerOptions{})
		}
		argv := []string{"curl", "-sS", "-o", "/dev/null", "http://" + host + "/file"}
		var alone, together, cpu sample
		for range runs(times) {
			one := l.Command(argv...).Run()
			p := l.Midstream(argv...)
			p.Args = append([]string{p.Args[0], "--aggregate", "--"}, argv...)
			all := p.Run()
			if one.Status != 0 || all.Status != 0 {
				b.Fatalf("bench: %v, %v", one, all)
			}
			alone, together = append(alone, one.Elapsed.Seconds()), append(together, all.Elapsed.Seconds())
			cpu = append(cpu, all.CPU.Seconds()/one.CPU.Seconds())
		}
		// What a link carries of content is its rate without headers: 1448 octets of 1514.
		least := size * 8 / (rate * 1448 / 1514)
		b.report("100 MB over "+w.name+", s", together, "%.2f", w.bound*least)
		b.note("the first network alone %s s; the links' rates %.2f s", alone.text("%.2f"), least)
		b.report("the same, processor time to that without Midstream", cpu, "%.2f", 1.1)
		inner.Clear()
	}
}
