// All English texts of the terminal.

const s = (n: number, one: string, many: string): string => `${n} ${n === 1 ? one : many}`;

export const t = {
    loading: 'Loading…', nothing: 'Nothing here.', none: '–', noMatch: 'Nothing matches the filter.', filter: 'Filter', required: 'required', choose: 'Choose…',
    yes: 'Yes', no: 'No', close: 'Close', dismiss: 'Close this message', remove: 'Remove', save: 'Save', cancel: 'Cancel', edit: 'Edit', refresh: 'Refresh',
    name: 'Name', state: 'State', plugin: 'Plugin', connection: 'Connection', actions: 'What can be done', gap: 'Gap', seq: 'seq',
    more: (n: number) => `${n} more; filter to see them.`,
    missing: (n: number) => s(n, 'record missing', 'missing'),
    causes: {
        disconnected: 'disconnected', dropped: 'messages not understood', sequence: 'numbers missing', restart: 'restarted', silence: 'venue fell silent', slow_reader: 'this page read too slowly',
    } as Record<string, string>,
    pages: {
        market: 'Market', plugins: 'Plugins', connections: 'Connections', streams: 'Streams', history: 'History', sinks: 'Sinks', audit: 'Audit', log: 'Log', settings: 'Settings',
    } as {[page: string]: string} & Record<'market' | 'plugins' | 'connections' | 'streams' | 'history' | 'sinks' | 'audit' | 'log' | 'settings', string>,
    shell: {
        skip: 'Skip to the page', pagesLabel: 'Pages', menu: 'Menu', search: 'Search', searchKey: 'Ctrl K', theme: 'Light or dark', toLight: 'Switch to light', toDark: 'Switch to dark',
        help: 'Keys', status: 'Connection and node',
        live: 'Live', connecting: 'Connecting', waiting: 'Reconnecting', off: 'Off',
        retryIn: (d: string) => `Connection lost. Next try in ${d}.`, retry: 'Try now', stale: 'What you see is as it was.',
        rate: (n: string) => `${n} rec/s`, lag: (d: string) => `${d} behind`, dropped: (n: string) => `${n} dropped by this page`, lost: (n: string) => `${n} lost`,
        streams: (n: number) => s(n, 'stream live', 'streams live'), notLive: (n: number) => `${n} not live`,
        memory: 'Memory', demo: 'Demo: simulated market', store: 'Store', nodeTrouble: 'The node does not answer as it should',
        back: (d: string) => `Back after ${d}.`, caught: (n: number) => (n ? s(n, 'record', 'records') + ' caught up from history.' : 'No records were waiting in history.'),
        incomplete: (n: number) => s(n, 'stream', 'streams') + ' could not be caught up whole.', missedGaps: (n: number) => s(n, 'gap', 'gaps') + ':', noGaps: 'No gap was reported.',
    },
    welcome: {
        title: 'Nothing runs here yet', what: 'Three steps bring a market to this page.', done: 'done',
        plugin: '1. A plugin', pluginHow: 'A plugin is one .wasm file that speaks for a venue. Drop it here; what it asks for is shown before it may do anything.', pluginSee: 'See the plugins',
        connection: '2. A connection', connectionHow: 'The plugin with your settings; many venues need none.', connectionGo: 'Make one with settings', connectPlain: (n: string) => `Connect ${n} as it is`, connected: (n: string) => `${n} is connected.`,
        stream: '3. Streams', streamHow: 'Trades, books, candles of the symbols that you want.', streamGo: 'Start any stream', symbolGo: 'Add a symbol',
        needAdmin: 'Your token may not install plugins; a token with the scope admin may.', demo: 'Only looking? This shows a simulated market:',
    },
    login: {
        title: 'Weir', what: 'This terminal needs a token.', token: 'Token', enter: 'Enter',
        where: 'The daemon prints an address with a token when it starts for the first time. Or let it make another one when it starts:', command: 'weir serve --admin-token',
    },
    palette: {
        title: 'Commands', placeholder: 'Page, symbol, time frame, stream or action', none: 'Nothing found', page: 'Page', symbol: 'Symbol', frame: 'Time frame', action: 'Action', stream: 'Stream', plugin: 'Plugin', connection: 'Connection',
        addSymbol: 'Add a symbol', theme: 'Switch between light and dark', upload: 'Install a plugin', newConnection: 'New connection', newStream: 'New stream', logout: 'Log out', keys: 'Show all keys',
        panes: (n: number) => (n === 1 ? 'One chart' : `${n} charts side by side`), stop: 'Stop', start: 'Start', keysHint: '↑ ↓ choose · Enter does it · Esc closes',
    },
    keys: {
        title: 'Keys',
        list: [
            ['Ctrl K', 'commands: pages, symbols, time frames, streams'], ['?', 'this list'], ['/', 'the filter of the page'], ['g m', 'Market'], ['g p', 'Plugins'], ['g c', 'Connections'], ['g s', 'Streams'], ['g h', 'History'],
            ['g k', 'Sinks'], ['g a', 'Audit'], ['g l', 'Log'], ['g ,', 'Settings'], ['a', 'add a symbol (Market)'], ['[ ]', 'the symbol before, behind (Market)'], ['1 … 9', 'the time frame at this place (Market)'],
            ['↑ ↓ or k j', 'up and down in a table'], ['Enter', 'open the row'], ['Delete', 'take the symbol off the watchlist'], ['Alt ↑ ↓', 'move the symbol in the watchlist'], ['← →', 'bar by bar in a chart'], ['+ −', 'wider and narrower bars in a chart'], ['Home End', 'the oldest and the newest bar'], ['Esc', 'close'],
        ] as [string, string][],
    },
    market: {
        watchlist: 'Watchlist', filterSymbols: 'Filter symbols', sort: 'Order', sortOwn: 'As added', sortName: 'By name', sortChange: 'By change', sortVolume: 'By volume', add: 'Add', addTitle: 'Add a symbol',
        startIt: 'Start it', startCandles: 'Start candles', o: 'O', h: 'H', l: 'L', c: 'C', v: 'V', high: 'High', low: 'Low', bp: (n: string) => `${n} bp`, logScale: 'log', logScaleTitle: 'Logarithmic prices', toNewest: 'To the newest bar →', closesIn: (d: string) => `closes in ${d}`,
        group: 'Step of price', groupTimes: (n: number) => `× ${n}`, least: 'min size', leastSize: 'Only trades of at least this size', noneSoLarge: 'No trade of this size.',
        symbol: 'Symbol', last: 'Last', change: '24 h', bid: 'Bid', ask: 'Ask', spread: 'Spread', spreadOf: (p: string) => `Spread ${p}`, volume: 'Vol 24 h', age: 'Age', hide: 'Hide', hideOne: (n: string) => `Hide ${n}`, showHidden: (n: number) => `Show ${n} hidden`, noSymbols: 'No symbols: add one.', noLive: 'No stream of it is live.',
        parts: 'Parts of the market page', tabList: 'Watch', tabChart: 'Chart', tabBook: 'Book', tabTape: 'Trades', tabHealth: 'Streams',
        paneCount: 'Charts side by side', panesOf: (n: number) => (n === 1 ? 'One chart' : `${n} charts`), frames: 'Time frame', chart: 'chart',
        chartOf: (sym: string, f: string) => `Chart of ${sym}, ${f}`, chartKeys: (sym: string, f: string) => `Candles of ${sym}, ${f}. Arrow keys go bar by bar.`,
        loadingCandles: 'Loading candles…', candlesFailed: 'No history', gaps: (n: number) => s(n, 'gap', 'gaps'), fill: 'Fill from the venue', fillTitle: 'Asks the plugin for the candles that are missing', gapAt: (c: string, a: string, b: string) => `No data: ${c}, ${a} – ${b}`, noTradesAt: 'No trades',
        ofFiner: (f: string) => `put together of ${f} bars`, ofTrades: 'made of trades', noStreamHere: 'no live stream for this chart',
        book: 'Order book', levels: 'Levels', noBook: 'No order book stream for this symbol.', waitBook: 'Waits for a book…', bookDoubtful: 'Something is missing in this book: waits for a whole one.', bookPartial: 'Only changes were seen so far: this book is not whole.', bookOld: (d: string) => `Last change ${d} ago.`,
        price: 'Price', size: 'Size', total: 'Total', bids: 'Bids', asks: 'Asks', imbalance: 'Imbalance of the book', imbalanceOf: (n: number) => `Imbalance, ${n} levels`,
        tape: 'Time and sales', time: 'Time', noTrades: 'No trades stream for this symbol.', waitTrades: 'Waits for a trade…',
        health: 'Stream health', noStreams: 'No streams.',
        addTypes: 'Streams to start', added: (n: string) => `${n} is on the watchlist.`, noConnection: 'No connection is ready.', asksMarkets: 'Asks the plugin for its markets…', more: (n: number) => `${n} more; narrow the search.`,
    },
    plugins: {
        none: 'No plugins. Drop a .wasm file here.', gone: (id: string) => `There is no plugin "${id}".`, choose: 'Install a plugin', uploading: 'Uploading…', orDrop: 'or drop a .wasm file here', tooLarge: (n: string) => `${n} is larger than 64 MiB.`, notWasm: (n: string) => `${n} is no WebAssembly module: its first four octets are not \\0asm.`,
        uploaded: (n: string, waits: boolean) => (waits ? `${n} is here and waits for your approval.` : `${n} is installed.`), pendingTag: 'asks for approval',
        streams: 'Streams', messages: 'Messages', records: 'Records', calls: 'Calls', p50: 'Call p50', p99: 'Call p99', cpu: 'CPU', memory: 'Memory', ofLimit: (l: string) => `of ${l}`, gaps: 'Gaps', traps: 'Traps', restarts: 'Restarts', took: 'Took', hash: 'SHA-256',
        enable: 'Enable', disable: 'Disable', reload: 'Reload', reloaded: 'Reloaded.', removeAsk: (n: number) => (n ? `Remove it and its ${s(n, 'connection', 'connections')}?` : 'Remove it?'),
        permissions: 'Permissions', noGrants: 'None granted: it may reach no address.', connect: 'New connection', noConnections: 'No connection uses it.',
        versions: 'Versions', version: 'Version', active: 'active', waits: 'waits for approval', file: 'File', size: 'Size', installed: 'Installed', rollback: 'Go back to this', rolledBack: (v: string) => `Now runs ${v}.`,
        approveTitle: 'Permissions to approve', asksFor: (n: string, v: string) => `${n} ${v} asks for permissions`, asksNote: 'It does not run before somebody approves. Addresses outside this list stay closed to it.', asksNothing: 'It asks for no address.',
        new: 'new', kept: 'as before', dropped: 'no longer', approve: 'Approve and run', approveSome: (a: number, b: number) => `Approve ${a} of ${b} and run`, reject: 'Reject', approved: 'Approved.', rejected: 'Rejected.', adminApproves: 'A token with the scope admin can approve this.',
        lastTraps: 'Last traps', noTraps: 'It never trapped.', trapStream: 'Stream', trapExport: 'Export', trapThen: 'Then', backtrace: 'Back-trace of the guest', trapMessage: 'Message of the venue', trapInput: 'Input', trapCalls: 'Last host calls', outcome: 'Outcome',
        offers: 'What it offers', id: 'Id', generation: 'Generation', types: 'Stream types', timeframes: 'Time frames', commands: 'Commands', fields: 'Settings',
    },
    connections: {
        add: 'New connection', none: 'No connections.', gone: (id: string) => `There is no connection ${id}.`, unnamed: 'without a name', changed: 'Changed', created: 'Created',
        noFields: 'This plugin has no settings.', secretKept: 'kept, not shown', secretNote: 'Kept encrypted; never shown again.', secretNoteKept: 'A value is kept. Type to replace it; leave it empty to keep it.', forget: (n: string) => `Forget ${n}`,
        noPlugin: 'No plugin is installed.', nameNote: 'For you; anything.', create: 'Create', made: 'Connection created.', saved: 'Saved.', missing: (n: string) => `Required: ${n}`,
        test: 'Test', testOk: (n: number) => `Works (${n} ms).`, testBad: 'Does not work:', settings: 'Settings', removeAsk: (n: number) => (n ? `Remove it and its ${s(n, 'stream', 'streams')}?` : 'Remove it?'), noStreams: 'No streams.',
        commands: 'Commands', command: 'Command', parameters: 'Parameters (JSON)', fresh: 'Not from the cache', run: 'Run', took: (a: string, b: string) => `Took ${a} ms, waited ${b} ms for the rate limit.`, rows: (n: number) => s(n, 'row', 'rows') + '.',
    },
    streams: {
        add: 'New stream', none: 'No streams.', gone: (id: string) => `There is no stream ${id}.`, stream: 'Stream', type: 'Type', identifier: 'Symbol', identifierNote: 'As the venue writes it, e.g. SPOT_BTC_USDT.', more: 'Parameters', moreNote: 'As JSON, if the plugin knows some, e.g. {"depth": 50}.', badJson: 'Parameters: no JSON object.', otherType: 'Another type…', typeName: 'Name of the type', create: 'Start', made: 'Stream made.',
        start: 'Start', stop: 'Stop', restart: 'Restart', restarted: 'Restarting.', removeAsk: 'Remove this stream?', noConnection: 'There is no connection yet.',
        since: 'Since', wanted: 'Wanted', lastRecv: 'Last message', lastEvent: 'Last venue time', received: 'Received', records: 'Records', waiting: 'Waiting', gaps: 'Gaps', restarts: 'Restarts', doubles: 'Doubles', repeated: 'Repeated', seeHistory: 'its records', newest: 'Newest records', noNewest: 'None in the last minute.',
    },
    history: {
        kept: (a: string, b: string, c: string) => `${a} topics, ${b} records, ${c}`, query: 'Query', topics: 'What is kept', topic: 'Topic', none: 'Nothing is kept yet.', size: 'Size', first: 'First', last: 'Last',
        pattern: 'Pattern', patternNote: 'A topic is type.plugin.symbol and its parameters; * stands for one part, > for all that follow.', from: 'From', to: 'To', anyConnection: 'Any', order: 'Order', newest: 'Newest first', oldest: 'Oldest first', data: 'Data', run: 'Query', export: 'Export', format: 'Format',
        nothing: 'No records in this time.', received: 'Received', what: 'Stream', content: 'Record', more: 'More',
    },
    sinks: {
        what: 'Where records go beside the readers here: files, Redis, NATS, Kafka, sockets.', add: 'New sink', none: 'No sinks.', noneHow: 'A new one takes what a pattern says to one of these:', noneWho: 'A token with the scope admin makes one, to one of these:',
        examples: [
            ['ndjson:/var/lib/weir/tape.ndjson', 'a file of JSON lines'], ['csv:/var/lib/weir/trades.csv', 'a file of comma-separated values'], ['redis://127.0.0.1:6379', 'Redis Streams'], ['nats://127.0.0.1:4222', 'NATS JetStream'],
            ['kafka://127.0.0.1:9092/weir', 'a topic of Kafka'], ['udp://127.0.0.1:9999', 'datagrams'], ['unix:/run/reader.sock', 'a Unix socket'],
        ] as [string, string][],
        spec: 'Where to', specNote: 'e.g. ndjson:FILE, redis://HOST, nats://HOST, kafka://HOST/TOPIC, udp://HOST:PORT', pattern: 'Pattern', policy: 'When its queue is full', policyNote: 'drop_oldest and newest_per_key lose records and count them; block makes the venue wait.',
        account: {offered: 'Offered', delivered: 'Handed over', dropped: 'Dropped', queued: 'Queued', accepted: 'Accepted', written: 'Written', buffered: 'Buffered', lost: 'Lost', octets: 'Size', again: 'Sent again', doubles: 'Doubles', connects: 'Connections made', lag_ms: 'Lag'} as Record<string, string>,
        written: 'Written', queued: 'Queued', dropped: 'Dropped', saved: 'Saved.', removeAsk: 'Remove this sink?',
    },
    audit: {what: 'Every request that changed something or was refused.', admin: 'A token with the scope admin sees the audit.', time: 'Time', who: 'Who', scope: 'Scope', peer: 'From', action: 'Action', target: 'On', status: 'Status'},
    log: {none: 'No lines.', level: 'Level', pause: 'Pause', go: 'Go on'},
    settings: {
        you: 'You', scope: 'Scope', theme: 'Theme', themes: {system: 'As the system', dark: 'Dark', light: 'Light'}, logout: 'Log out', node: 'This node', version: 'Version', uptime: 'Up for', store: 'Store', storeSize: 'Store size', historySize: 'History size',
        all: 'How it was started', value: 'Value', source: 'From', help: 'What it does', tokens: 'Tokens', days: 'Days', makeToken: 'Make a token', once: 'Copy it now: it is not shown again.', copy: 'Copy', expires: 'Ends', never: 'never', revoke: 'Revoke', revokeAsk: 'Revoke it?',
        about: 'About', charts: 'Charts by', chartsNotice: '© TradingView, Inc., Apache License 2.0.', licences: 'All licences', openapi: 'The API, as an OpenAPI document',
    },
};
