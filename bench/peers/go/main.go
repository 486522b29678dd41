// The work of `make bench-peers` by Extism's Go SDK, which runs on wazero: what work.h says, in its words.
//
//	host calls C.wasm GO.wasm | start GO.wasm | compile GO.wasm | instances C.wasm COUNT | flat C.wasm CALLS HOSTCALLS
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	extism "github.com/extism/go-sdk"
	"github.com/tetratelabs/wazero"
)

const answerText = `{"success":true,"connectionId":"c-00000017","accepted":2}  `
const trade = `{"topic":"trade@SPOT_BTC_USDT","ts":1717171717123,"source":"matching-engine-3","sequence":918273645,` +
	`"data":{"s":"SPOT_BTC_USDT","px":"67123.45","sx":"0.01250000","sd":"BUY","ts":1717171717119,` +
	`"rpi":false,"maker":"0b2f6f3d4f6a4a9f","taker":"77aa90cd13ee42b1","fee":"0.0003","feeAsset":"USDT"}}`

type sample struct {
	Output string    `json:"output,omitempty"`
	NS     []float64 `json:"ns,omitempty"`
	Error  string    `json:"error,omitempty"`
}

var background = context.Background()
var readSoFar int

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "go:", err)
		os.Exit(1)
	}
}

func cpuNs() float64 {
	var use syscall.Rusage
	fail(syscall.Getrusage(syscall.RUSAGE_SELF, &use))
	return float64(use.Utime.Nano() + use.Stime.Nano())
}

func resident() float64 {
	text, err := os.ReadFile("/proc/self/statm")
	fail(err)
	pages, err := strconv.ParseFloat(strings.Fields(string(text))[1], 64)
	fail(err)
	return pages * float64(os.Getpagesize())
}

func answer(_ context.Context, p *extism.CurrentPlugin, stack []uint64) {
	question, err := p.ReadBytes(stack[0])
	if err != nil {
		panic(err)
	}
	for i := 0; i < len(question); i += 50 {
		readSoFar += int(question[i])
	}
	if stack[0], err = p.WriteString(answerText); err != nil {
		panic(err)
	}
}

// With a cache on disk if XDG_CACHE_HOME says where.
func compileFile(path string) *extism.CompiledPlugin {
	runtime := wazero.NewRuntimeConfig()
	if folder := os.Getenv("XDG_CACHE_HOME"); folder != "" {
		cache, err := wazero.NewCompilationCacheWithDir(folder + "/wazero")
		fail(err)
		runtime = runtime.WithCompilationCache(cache)
	}
	function := extism.NewHostFunctionWithStack("answer", answer, []extism.ValueType{extism.ValueTypePTR}, []extism.ValueType{extism.ValueTypePTR})
	code, err := extism.NewCompiledPlugin(background, extism.Manifest{Wasm: []extism.Wasm{extism.WasmFile{Path: path}}},
		extism.PluginConfig{EnableWasi: true, RuntimeConfig: runtime}, []extism.HostFunction{function})
	fail(err)
	return code
}

func makePlugin(code *extism.CompiledPlugin) (*extism.Plugin, error) {
	return code.Instance(background, extism.PluginInstanceConfig{ModuleConfig: wazero.NewModuleConfig()})
}

func call(p *extism.Plugin, name string, in []byte) ([]byte, error) {
	code, out, err := p.Call(name, in)
	if err == nil && code != 0 {
		err = fmt.Errorf("%s returned %d", name, code)
	}
	return out, err
}

func row(code *extism.CompiledPlugin, name string, in []byte, units float64) (s sample) {
	p, err := makePlugin(code)
	fail(err)
	out, err := call(p, name, in)
	if err != nil {
		return sample{Error: err.Error()}
	}
	sum := sha256.Sum256(out)
	s.Output = hex.EncodeToString(sum[:])
	for n, batch := -1, 1; n < 5; {
		start := cpuNs()
		for i := 0; i < batch; i++ {
			if _, err = call(p, name, in); err != nil {
				return sample{Error: err.Error()}
			}
		}
		took := cpuNs() - start
		if took < 40e6 && n < 0 {
			batch *= 2
			continue
		}
		if n++; n > 0 {
			s.NS = append(s.NS, took/float64(batch)/units)
		}
	}
	return s
}

func say(value any) {
	text, err := json.Marshal(value)
	fail(err)
	fmt.Println(string(text))
}

func doCalls(cPath, goPath string) {
	megabyte := make([]byte, 1<<20)
	for i := range megabyte {
		megabyte[i] = byte('a' + i*7%23)
	}
	c, g := compileFile(cPath), compileFile(goPath)
	say(map[string]sample{
		"no-op call":                    row(c, "noop", nil, 1),
		"echo 256 B":                    row(c, "echo", megabyte[:256], 1),
		"host call, 100 in a call":      row(c, "ask", []byte("100"), 100),
		"host call, 100,000 in a call":  row(c, "ask", []byte("100000"), 100000),
		"1 MB in, 1 MB out":             row(c, "echo", megabyte, 1),
		"Go plugin, a trade normalised": row(g, "normalise", []byte(trade), 1),
	})
}

func doInstances(path string, count int) {
	code := compileFile(path)
	_, err := makePlugin(code)
	fail(err)
	before, start, why := resident(), cpuNs(), ""
	all := make([]*extism.Plugin, 0, count)
	for len(all) < count {
		p, err := makePlugin(code)
		if err == nil {
			_, err = call(p, "noop", nil)
		}
		if err != nil {
			why = err.Error()
			break
		}
		all = append(all, p)
	}
	made := float64(max(len(all), 1))
	say(map[string]any{"made": len(all), "ns": (cpuNs() - start) / made, "octets": (resident() - before) / made, "why": why})
}

func doFlat(path string, calls, hostCalls int) {
	p, err := makePlugin(compileFile(path))
	fail(err)
	run := func(calls, hostCalls int) {
		for i := 0; i < calls; i++ {
			_, err := call(p, "noop", nil)
			fail(err)
		}
		_, err := call(p, "ask", []byte(strconv.Itoa(hostCalls)))
		fail(err)
	}
	run(calls/100, hostCalls/100)
	early := resident()
	run(calls, hostCalls)
	say(map[string]any{"calls": calls, "host_calls": hostCalls, "grown": resident() - early})
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	fail(err)
	return n
}

func main() {
	switch what, args := os.Args[1], os.Args[2:]; what {
	case "calls":
		doCalls(args[0], args[1])
	case "start":
		p, err := makePlugin(compileFile(args[0]))
		fail(err)
		out, err := call(p, "normalise", []byte(trade))
		fail(err)
		fmt.Println(string(out))
	case "compile":
		start, wall := cpuNs(), time.Now()
		compileFile(args[0])
		say(map[string]float64{"cpu_ns": cpuNs() - start, "wall_ns": float64(time.Since(wall).Nanoseconds())})
	case "instances":
		doInstances(args[0], number(args[1]))
	case "flat":
		doFlat(args[0], number(args[1]), number(args[2]))
	}
}
