wss://ws-feed.exchange.coinbase.com <-> 1700000000.0
wss://ws-feed.exchange.coinbase.com <- 1700000000.1: {"type":"subscribe","product_ids":["BTC-USD"],"channels":["ticker"]}
1700000000.2: {"type":"subscriptions","channels":[{"name":"ticker","product_ids":["BTC-USD"],"account_ids":null}]}
1700000000.3: {"type":"ticker","sequence":37475248783,"product_id":"BTC-USD","price":"37012.4","open_24h":"36500","volume_24h":"8412.87361","low_24h":"36400.5","high_24h":"37400","volume_30d":"300000.1","best_bid":"37012.39","best_bid_size":"0.01","best_ask":"37012.4","best_ask_size":"0.12345678","side":"buy","time":"2023-11-14T22:13:20.123Z","trade_id":370843401,"last_size":"0.001"}
1700000000.35: {"type":"snapshot","product_id":"BTC-USD","asks":[["37013.00","0.5"]],"bids":[["37012.39","0.01"],["0.01","1e3"]]}
1700000000.4: {"type":"l2update","product_id":"BTC-USD","changes":[["buy","37012.39","0.02"],["sell","37013","0.00000000"],["buy","37000","1"]],"time":"2023-11-14T22:13:20Z"}
1700000000.5: {"type":"received","time":"2023-11-14T22:13:20.200Z","product_id":"BTC-USD","sequence":10,"order_id":"d50ec984","side":"sell"}
