// Trades of OKX by other programs' clients: node feeds.mjs tardis-dev|ccxt|ws ws://127.0.0.1:PORT COUNT
// Ends after COUNT trades (or when none has come for a second: ccxt keeps the newest of a turn only) and prints how many came,
// and the first ones as ID PRICE SIZE SIDE TIME. `ws` alone counts frames: what a socket costs in Node.
const [client, url, count] = [process.argv[2], process.argv[3], Number(process.argv[4])];
const first = [];
let seen = 0, timer;

function done() {
    console.log(JSON.stringify({ trades: seen, first }));
    process.exit(0);
}

function on(id, price, size, side, ms) {
    if (first.length < 50) first.push(`${id} ${Number(price)} ${Number(size)} ${side} ${ms}`);
    if (++seen === count) done();
}

function watch() {
    let before = -1;
    timer = setInterval(() => {
        if (seen && seen === before) done();
        before = seen;
    }, 1000);
}

async function tardis() {
    process.env.WSS_URL_OKEX = url;
    const { streamNormalized, normalizeTrades } = (await import('tardis-dev')).default;
    for await (const t of streamNormalized({ exchange: 'okex', symbols: ['BTC-USDT'] }, normalizeTrades))
        on(t.id, t.price, t.amount, t.side, t.timestamp.getTime());
}

async function ccxt() {
    const { default: library } = await import('ccxt');
    const okx = new library.pro.okx({ newUpdates: true });
    okx.urls.api.ws = url;
    await okx.loadHttpProxyAgent(); // without it no ws:// address is taken
    okx.setMarkets([okx.safeMarketStructure({ id: 'BTC-USDT', symbol: 'BTC/USDT', base: 'BTC', quote: 'USDT', baseId: 'BTC', quoteId: 'USDT',
        type: 'spot', spot: true, active: true, precision: { price: 0.1, amount: 0.00000001 }, limits: {} })]);
    for (;;) for (const t of await okx.watchTrades('BTC/USDT')) on(t.id, t.price, t.amount, t.side, t.timestamp);
}

async function ws() {
    const { WebSocket } = await import('ws');
    const socket = new WebSocket(url, { perMessageDeflate: false });
    socket.on('open', () => socket.send('{"op":"subscribe","args":[{"channel":"trades","instId":"BTC-USDT"}]}'));
    let frames = 0;
    socket.on('message', () => frames++ && ++seen === count && done()); // the first says that it is subscribed
}

watch();
await { 'tardis-dev': tardis, ccxt, ws }[client]();
