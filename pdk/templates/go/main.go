// A data-source plugin in one file: live candles of WOO X. Copy it, change the venue, build it:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o plugin.wasm .
//	weir run plugin.wasm --stream ohlcv:SPOT_BTC_USDT:1m
//
// A plugin has no socket, file or network of its own. It exports functions that the host calls, and
// imports functions by which it asks the host. Both pass JSON through blocks of a shared memory, named
// by offsets: pdk.AllocateJSON writes one, pdk.FindMemory(offset).ReadBytes() reads one.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/extism/go-pdk"
)

// The host functions. The two words are namespace and name; a host answers under env and under
// extism:host/user. Parameters must be numbers, not strings: each is the offset of a block.

//go:wasmimport env ws_connect
func wsConnect(offset uint64) uint64

//go:wasmimport env ws_send
func wsSend(offset uint64) uint64

//go:wasmimport env ws_receive
func wsReceive(offset uint64) uint64

//go:wasmimport env ws_close
func wsClose(offset uint64) uint64

//go:wasmimport env publish_stream_data
func publishStreamData(offset uint64) uint64

type object = map[string]any

// ask passes a request to a host function and reads the reply. {"success":false,"error":...} is an error.
func ask(function func(uint64) uint64, request object) (object, error) {
	mem, err := pdk.AllocateJSON(request)
	if err != nil {
		return nil, err
	}
	answer := pdk.FindMemory(function(mem.Offset()))
	reply := object{}
	if err := json.Unmarshal(answer.ReadBytes(), &reply); err != nil {
		return nil, err
	}
	if reply["success"] != true {
		return nil, fmt.Errorf("%v", reply["error"])
	}
	return reply, nil
}

// A module without a main package function is no Go program; nothing needs to happen in it.
func main() {}

// meta says who we are and which addresses we want to reach. The user is asked; anything that is not
// on this list is refused later, however it is spelled.
//
//go:wasmexport meta
func meta() int32 {
	pdk.OutputString(`{"pluginId":"minimal-go","name":"Minimal (Go)","appId":"datasrc","version":"1.0.0",
		"category":"CexDataSource","description":"Candles of WOO X","author":"you","repository":"","tags":[],"contacts":[],
		"resources":{"allowedNetworkTargets":[{"pattern":"wss://wss.woox.io/*"}],"fsWriteAccess":{}},
		"features":["ohlcv_stream"]}`)
	return 0
}

// plugin_configure receives the user's settings, an object of strings, before anything else happens.
// Keep secrets with pdk.SetVar. Market data needs none.
//
//go:wasmexport plugin_configure
func pluginConfigure() int32 {
	var settings map[string]string
	if err := pdk.InputJSON(&settings); err != nil {
		pdk.SetError(err)
		return 1
	}
	pdk.OutputString("configured")
	return 0
}

// What a stream is about. The host sends it to start_stream and wants it back, unchanged, with every
// record.
type streamKey struct {
	Type         string            `json:"type"`
	Source       string            `json:"source"`
	Identifier   string            `json:"identifier"`
	Parameters   map[string]string `json:"parameters"`
	ConnectionID *uint64           `json:"connectionId"`
}

var (
	connection string             // the running stream's socket
	cancel     context.CancelFunc // ends its goroutine; nil when none runs
)

func fail(err error) int32 {
	_ = pdk.OutputJSON(object{"success": false, "error": err.Error()})
	return 1
}

// start_stream connects, subscribes and starts the goroutine that receives. The 10 ms give it the
// thread; it keeps it while it waits in the host, so in truth this function returns only when the
// stream has ended. The host expects that and goes on with other work.
//
//go:wasmexport start_stream
func startStream() int32 {
	var key streamKey
	if err := pdk.InputJSON(&key); err != nil {
		return fail(err)
	}
	if key.Type != "ohlcv" {
		return fail(fmt.Errorf("unknown stream type '%s'; there is ohlcv", key.Type))
	}
	if cancel != nil {
		return fail(errors.New("a stream is running"))
	}
	reply, err := ask(wsConnect, object{"url": "wss://wss.woox.io/v3/public", "headers": nil})
	if err != nil {
		return fail(err)
	}
	connection, _ = reply["connectionId"].(string)
	topic := "kline@" + key.Identifier + "@" + key.Parameters["timeframe"]
	if err := send(object{"id": "1", "cmd": "SUBSCRIBE", "params": []string{topic}}); err != nil {
		return fail(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	cancel = stop
	go receive(ctx, key, topic)
	time.Sleep(10 * time.Millisecond)
	_ = pdk.OutputJSON(object{"success": true, "data": object{"status": "started", "connectionId": connection, "channel": topic}})
	return 0
}

// stop_stream is called while the goroutine waits in ws_receive: it must not wait itself.
//
//go:wasmexport stop_stream
func stopStream() int32 {
	if cancel == nil {
		return fail(errors.New("stream not found"))
	}
	cancel()
	cancel = nil
	_, _ = ask(wsClose, object{"connectionId": connection})
	_ = pdk.OutputJSON(object{"success": true, "data": object{"status": "stopped"}})
	return 0
}

// send sends one text frame.
func send(message object) error {
	text, err := json.Marshal(message)
	if err == nil {
		_, err = ask(wsSend, object{"connectionId": connection, "message": string(text)})
	}
	return err
}

// receive waits for frames and publishes what they say. A timeout is no error: nothing happened for
// five seconds. When the socket is gone every call is one; the host slows them down and starts the
// stream again.
func receive(ctx context.Context, key streamKey, topic string) {
	pinged := time.Now()
	for ctx.Err() == nil {
		reply, err := ask(wsReceive, object{"connectionId": connection, "timeoutMs": 5000})
		if err != nil || ctx.Err() != nil {
			continue
		}
		if time.Since(pinged) > 15*time.Second { // this venue hangs up on a client that is silent for 60 s
			pinged = time.Now()
			_ = send(object{"cmd": "PING", "ts": pinged.UnixMilli()})
		}
		if message, ok := reply["message"].(string); ok {
			publish(key, topic, message)
		}
	}
}

// publish turns one frame into one record. json.Number keeps the venue's own digits: the frame has
// them in a string, the record as a number, and no float is in between.
func publish(key streamKey, topic, message string) {
	var frame struct {
		Topic string `json:"topic"`
		Data  struct {
			O, H, L, C, V json.Number
			St            int64
		} `json:"data"`
	}
	if json.Unmarshal([]byte(message), &frame) != nil || frame.Topic != topic {
		return // an acknowledgement, a pong
	}
	d, start := frame.Data, time.UnixMilli(frame.Data.St).UTC()
	_, _ = ask(publishStreamData, object{"key": key, "timestamp": start, "data": object{
		"symbol": key.Identifier, "interval": key.Parameters["timeframe"], "timestamp": start,
		"open": d.O, "high": d.H, "low": d.L, "close": d.C, "volume": d.V}})
}
