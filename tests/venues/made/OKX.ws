wss://ws.okx.com:8443/ws/v5/business <-> 1700000000.0
wss://ws.okx.com:8443/ws/v5/business <- 1700000000.1: {"op":"subscribe","args":[{"channel":"candle1m","instId":"BTC-USDT"}]}
1700000000.2: {"event":"subscribe","arg":{"channel":"candle1m","instId":"BTC-USDT"},"connId":"a4d3ae55"}
1700000000.3: {"arg":{"channel":"candle1m","instId":"BTC-USDT"},"data":[["1699999980000","37012.4","37020","37000.10","37015.5","1.50000001","55518.30","55518.3012","0"]]}
1700000000.4: pong
1700000000.5: {"arg":{"channel":"candle1H","instId":"BTC-USDT"},"data":[["1699999200000","36900","37100","36850","37015.5","812.4","30000000","30000000.5","0"]]}
1700000000.6: {"arg":{"channel":"candle1m","instId":"PEPE-USDT"},"data":[["1699999980000","0.000000123456","0.000000123457","0.000000123455","0.000000123456","9e9","1111","1111.1","1"],["1700000040000","0.000000123456","0.000000123456","0.000000123456","0.000000123456","0","0","0","0"]]}
1700000000.7: {"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":[["37015.6","1","0","3"]],"bids":[["37015.5","0.2","0","1"],["37015.4","10","0","2"]],"ts":"1700000000650","checksum":1076833102,"seqId":123456,"prevSeqId":-1}]}
1700000000.8: {"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[],"bids":[["37015.4","0","0","0"]],"ts":"1700000000750","checksum":1408959432,"seqId":123460,"prevSeqId":123456}]}
1700000000.9: {"arg":{"channel":"tickers","instId":"BTC-USDT-SWAP"},"data":[{"instType":"SWAP","instId":"BTC-USDT-SWAP","last":"37010.1","lastSz":"12","askPx":"37010.2","askSz":"500","bidPx":"37010.1","bidSz":"31","open24h":"36500","high24h":"37400","low24h":"36400.5","sodUtc0":"36800","sodUtc8":"36700","volCcy24h":"123456.78","vol24h":"12345678","ts":"1700000000850"}]}
1700000001.0: {"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"130639474","px":"37012.4","sz":"0.012","side":"buy","ts":"1700000000950","count":"3"},{"instId":"BTC-USDT","tradeId":"130639475","px":"37012.3","sz":"1","side":"sell","ts":"1700000000951","count":"1"}]}
