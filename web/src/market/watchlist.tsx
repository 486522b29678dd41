// The watchlist: last, change, bid, ask, spread, volume and age of the last tick of each symbol.

import {useState} from 'preact/hooks';
import * as decimal from '../lib/decimal';
import {show} from '../lib/show';
import {duration} from '../lib/time';
import {feed, second, slow, streamOf, type Feed} from '../state/feeds';
import {active, change, choose, connectionName, keyOf, layout, move, nameOf, watched, type Pick} from '../state/layout';
import {mayOperate} from '../state/session';
import {Button, Empty, Filter, matches, rowKeys} from '../ui/parts';
import {adding} from './add';
import {t} from '../text';

/** Prices in a column line up at the point: the venue's digits, zeros added, none taken. */
export function price(text: string, places: number): string {
    return text ? decimal.grouped(decimal.padded(text, places)) : '';
}

/** A size, as the venue says it; long ones in brief, with all digits to be had by pointing at it. */
export function Size({text, places, room = 11}: {text: string; places: number; room?: number}) {
    const whole = decimal.padded(text, places);
    return whole.length <= room ? <>{whole}</> : <span title={whole}>{decimal.brief(text)}</span>;
}

const SORTS: [string, string][] = [['', t.market.sortOwn], ['name', t.market.sortName], ['change', t.market.sortChange], ['volume', t.market.sortVolume]];

function sorted(list: Pick[], by: string): Pick[] {
    if (by === 'name') return [...list].sort((a, b) => a.identifier.localeCompare(b.identifier));
    if (by === 'change') return [...list].sort((a, b) => decimal.compare(feed(b).change ?? '-999999', feed(a).change ?? '-999999'));
    if (by === 'volume') return [...list].sort((a, b) => decimal.compare(feed(b).amount || feed(b).volume || '0', feed(a).amount || feed(a).volume || '0'));
    return list;
}

export function Watchlist({onChosen}: {onChosen?: () => void}) {
    const [filter, setFilter] = useState('');
    void slow.value;
    const list = sorted(watched.value.filter(p => matches(filter, nameOf(p), p.plugin)), layout.value.sort);
    return (
        <section class="panel watchlist" aria-label={t.market.watchlist}>
            <header class="panel-head">
                <Filter value={filter} onValue={setFilter} label={t.market.filterSymbols} />
                <select class="small" aria-label={t.market.sort} value={layout.value.sort} onChange={e => change({sort: e.currentTarget.value})}>
                    {SORTS.map(([v, name]) => <option value={v}>{name}</option>)}
                </select>
                {mayOperate.value && <Button onClick={() => { adding.value = true; }} title={t.market.addTitle}>{t.market.add}</Button>}
            </header>
            {list.length === 0 ? <Empty>{filter ? t.noMatch : t.market.noSymbols}</Empty> : (
                <div class="scroll">
                    <table class="table open watch">
                        <thead>
                            <tr>
                                <th scope="col">{t.market.symbol}<small>{t.market.age}</small></th><th scope="col" class="num">{t.market.last}<small>{t.market.change}</small></th>
                                <th scope="col" class="num">{t.market.bid}<small>{t.market.ask}</small></th><th scope="col" class="num">{t.market.spread}<small>{t.market.volume}</small></th>
                                <th scope="col" class="act"><span class="hidden">{t.market.hide}</span></th>
                            </tr>
                        </thead>
                        <tbody onKeyDown={rowKeys}>
                            {list.map(p => <Row key={keyOf(p)} pick={p} onChosen={onChosen} />)}
                        </tbody>
                    </table>
                </div>
            )}
            {layout.value.hidden.length > 0 && (
                <footer class="panel-foot"><Button kind="quiet" onClick={() => change({hidden: []})}>{t.market.showHidden(layout.value.hidden.length)}</Button></footer>
            )}
        </section>
    );
}

/** The spread in basis points of the bid: short where prices have twelve decimals. */
function basis(f: Feed): string {
    const part = f.spread === null ? null : decimal.ratio(f.spread, f.bestBid, 6);
    return part === null ? t.none : t.market.bp(decimal.fixed(decimal.text({units: decimal.parse(part)!.units, scale: 2}), 2));
}

function Row({pick, onChosen}: {pick: Pick; onChosen: (() => void) | undefined}) {
    void slow.value;
    const f = feed(pick), key = keyOf(pick);
    const here = active.value !== null && keyOf(active.value) === key;
    const up = f.change === null ? 0 : f.change.startsWith('-') ? -1 : f.change.startsWith('+') ? 1 : 0;
    const open = (): void => {
        choose(pick);
        onChosen?.();
    };
    return (
        <tr tabIndex={0} class={here ? 'selected' : ''} aria-current={here ? 'true' : undefined} onClick={e => !(e.target as Element).closest('button') && open()}
            onKeyDown={e => {
                if (e.target !== e.currentTarget) return;
                if (e.altKey && (e.key === 'ArrowUp' || e.key === 'ArrowDown')) {
                    const row = e.currentTarget;
                    if (!layout.value.sort) move(pick, e.key === 'ArrowUp' ? -1 : 1);
                    requestAnimationFrame(() => row.focus()); // moved in the page, it lost the focus
                    e.preventDefault();
                    e.stopPropagation();
                }
                if (e.key === 'Enter') open();
                if (e.key === 'Delete') change({hidden: [...layout.value.hidden, key]});
            }}>
            <th scope="row" title={show(pick.plugin)}>{show(pick.identifier)}{pick.connection !== undefined && <span class="tag">{show(connectionName(pick.connection))}</span>}<Age pick={pick} /></th>
            <td class={'num price ' + tone(f.lastSide)}>{price(f.last, f.places)}<small class={tone(up)}>{f.change === null ? t.none : f.change + '%'}</small></td>
            <td class="num"><span>{price(f.bestBid, f.places) || t.none}</span><small class="plain">{price(f.bestAsk, f.places) || t.none}</small></td>
            <td class="num" title={f.spread === null ? '' : t.market.spreadOf(price(f.spread, f.places))}><span>{basis(f)}</span><small>{f.volume ? decimal.brief(f.volume) : t.none}</small></td>
            <td class="act"><button type="button" class="button quiet tiny" tabIndex={-1} aria-label={t.market.hideOne(nameOf(pick))} title={t.market.hide} onClick={() => change({hidden: [...layout.value.hidden, key]})}>×</button></td>
        </tr>
    );
}

export const tone = (sign: number): string => (sign > 0 ? 'up' : sign < 0 ? 'down' : '');

function Age({pick}: {pick: Pick}) {
    void second.value;
    const f = feed(pick);
    const age = f.seenAt ? Date.now() - f.seenAt : null;
    const stopped = !['ticker', 'bbo', 'trades'].some(type => streamOf(pick, type)?.state === 'live');
    return <small class={age !== null && age > 30000 ? 'stale' : ''} title={stopped ? t.market.noLive : ''}>{age === null ? t.none : duration(age)}</small>;
}
