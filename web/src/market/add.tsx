// Adding a symbol: the plugin's own list of markets, a search, and the streams that a market page reads.

import {signal} from '@preact/signals';
import {useEffect, useState} from 'preact/hooks';
import {show} from '../lib/show';
import * as api from '../state/api';
import {change, choose, keyOf, layout} from '../state/layout';
import {connections, plugins, refresh, streams} from '../state/things';
import {Button, Check, Empty, Field, Filter, matches, rowKeys, Trouble} from '../ui/parts';
import {Dialog} from '../ui/dialog';
import {toast} from '../ui/toast';
import {ConnectPlain} from '../pages/connect';
import {href} from '../state/route';
import {t} from '../text';

export const adding = signal(false);

interface Market {
    symbol: string;
    base?: string;
    quote?: string;
    assetType?: string;
    status?: string;
}

const MARKET_TYPES = ['ticker', 'bbo', 'trades', 'orderbook', 'ohlcv'];
const ROWS = 300;

export function AddSymbol() {
    const usable = (connections.value ?? []).filter(c => c.state === 'ready' || c.streams > 0);
    const [chosen, setId] = useState('');
    const id = chosen || String(usable[0]?.id ?? '');
    const [filter, setFilter] = useState('');
    const [markets, setMarkets] = useState<Market[] | null>(null);
    const [trouble, setTrouble] = useState('');
    const connection = usable.find(c => String(c.id) === id);
    const plugin = plugins.value?.find(p => p.id === connection?.plugin);
    const offered = MARKET_TYPES.filter(type => plugin?.stream_types.includes(type));
    const [off, setOff] = useState<string[]>([]);
    useEffect(() => {
        setMarkets(null);
        setTrouble('');
        if (!id) return;
        api.postKeeping<{result: unknown}>(`/v1/connections/${id}/commands/getMarkets`, {}).then(
            a => setMarkets(Array.isArray(a.result) ? (a.result as Market[]).filter(m => typeof m?.symbol === 'string') : []),
            e => setTrouble(api.why(e)));
    }, [id]);
    const close = (): void => { adding.value = false; };
    const add = async (symbol: string): Promise<void> => {
        const frames = plugin?.timeframes ?? [];
        for (const type of offered.filter(x => !off.includes(x))) {
            const parameters = type === 'ohlcv' ? {timeframe: frames.includes('1m') ? '1m' : frames[0] ?? '1m'} : {};
            if ((streams.value ?? []).some(s => s.connection === Number(id) && s.type === type && s.identifier === symbol && JSON.stringify(s.parameters) === JSON.stringify(parameters))) continue;
            await api.post('/v1/streams', {connection: Number(id), type, identifier: symbol, parameters});
        }
        await refresh('streams');
        const pick = {plugin: plugin!.id, identifier: symbol, connection: Number(id)};
        change({hidden: layout.value.hidden.filter(k => k !== keyOf(pick) && k !== keyOf({...pick, connection: undefined}))});
        choose(pick);
        toast(t.market.added(symbol));
        close();
    };
    const found = (markets ?? []).filter(m => matches(filter, m.symbol, m.base, m.quote, m.assetType));
    return (
        <Dialog title={t.market.addTitle} onClose={close}>
            {usable.length === 0 ? <Empty>{t.market.noConnection} <div class="row"><ConnectPlain /><a class="button" href={href('connections', 'new')} onClick={close}>{t.connections.add}</a></div></Empty> : (
                <>
                    <Field label={t.connection} value={id} onValue={setId} options={usable.map(c => [String(c.id), `${c.name || c.plugin} (${c.plugin})`] as [string, string])} />
                    <fieldset class="checks"><legend>{t.market.addTypes}</legend>
                        {offered.map(type => <Check label={type} value={!off.includes(type)} onValue={v => setOff(v ? off.filter(x => x !== type) : [...off, type])} />)}
                    </fieldset>
                    <Filter value={filter} onValue={setFilter} label={t.market.filterSymbols} />
                    <Trouble text={trouble} />
                    {markets === null && !trouble && <p class="note" role="status">{t.market.asksMarkets}</p>}
                    {trouble || (markets && markets.length === 0) ? (
                        <div class="row"><Field label={t.market.symbol} value={filter} onValue={setFilter} /><Button kind="main" disabled={!filter.trim()} onClick={() => add(filter.trim())}>{t.market.add}</Button></div>
                    ) : null}
                    <div class="scroll markets">
                        <table class="table open">
                            <tbody onKeyDown={rowKeys}>
                                {found.slice(0, ROWS).map(m => (
                                    <tr key={m.symbol} tabIndex={0} onClick={() => void add(m.symbol).catch(e => setTrouble(api.why(e)))} onKeyDown={e => e.key === 'Enter' && void add(m.symbol).catch(x => setTrouble(api.why(x)))}>
                                        <th scope="row">{show(m.symbol)}</th><td>{show(m.base)}</td><td>{show(m.quote)}</td><td class="dim">{show(m.assetType)}</td><td class="dim">{show(m.status)}</td>
                                    </tr>
                                ))}
                            </tbody>
                        </table>
                    </div>
                    {found.length > ROWS && <p class="note">{t.market.more(found.length - ROWS)}</p>}
                </>
            )}
        </Dialog>
    );
}
