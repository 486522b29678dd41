// The usual plugin in Go: a trade as a venue writes it in, the same in a form of our own out, by encoding/json.
package main

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/extism/go-pdk"
)

type venueTrade struct {
	Topic string `json:"topic"`
	Data  struct {
		Symbol string `json:"s"`
		Price  string `json:"px"`
		Size   string `json:"sx"`
		Side   string `json:"sd"`
		TS     int64  `json:"ts"`
		RPI    bool   `json:"rpi"`
	} `json:"data"`
	TS int64 `json:"ts"`
}

type normalTrade struct {
	Type   string    `json:"type"`
	Venue  string    `json:"venue"`
	Symbol string    `json:"symbol"`
	Price  float64   `json:"price"`
	Size   float64   `json:"size"`
	Side   string    `json:"side"`
	Event  time.Time `json:"ts_event"`
	Sent   time.Time `json:"ts_sent"`
}

//go:wasmexport normalise
func normalise() int32 {
	var in venueTrade
	if err := json.Unmarshal(pdk.Input(), &in); err != nil {
		pdk.SetError(err)
		return 1
	}
	price, err := strconv.ParseFloat(in.Data.Price, 64)
	if err != nil {
		pdk.SetError(err)
		return 1
	}
	size, err := strconv.ParseFloat(in.Data.Size, 64)
	if err != nil {
		pdk.SetError(err)
		return 1
	}
	out, err := json.Marshal(normalTrade{"trade", "woox", in.Data.Symbol, price, size, in.Data.Side,
		time.UnixMilli(in.Data.TS).UTC(), time.UnixMilli(in.TS).UTC()})
	if err != nil {
		pdk.SetError(err)
		return 1
	}
	pdk.Output(out)
	return 0
}

func main() {}
