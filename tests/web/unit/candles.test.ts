import assert from 'node:assert/strict';
import {test} from 'node:test';
import {aggregate, CandleSeries, slots, type Candle} from '../../../web/src/lib/candles';
import {barAfter, barStart, divides, frameOf} from '../../../web/src/lib/frames';
import {candleOf, candlesOf} from '../../../web/src/lib/venue';

const M1 = frameOf('1m')!, M5 = frameOf('5m')!, S1 = frameOf('1s')!;
const at = 1700000100; // a multiple of 60 and 300
const bar = (start: number, close = '10.5', volume = '1.25'): Candle => ({start, open: '10', high: '11', low: '9.5', close, volume});

test('frames: minutes and months are told apart by case, weeks begin on Monday, months at their first', () => {
    assert.equal(frameOf('1m')!.seconds, 60);
    assert.equal(frameOf('1M')!.months, 1);
    assert.equal(frameOf('1mon')!.months, 1);
    assert.equal(frameOf('0m'), null);
    assert.equal(frameOf('1x'), null);
    assert.equal(new Date(barStart(frameOf('1W')!, Date.UTC(2026, 10, 28) / 1000) * 1000).toISOString(), '2026-11-23T00:00:00.000Z');
    const month = barStart(frameOf('1M')!, Date.UTC(2026, 10, 28) / 1000);
    assert.equal(new Date(month * 1000).toISOString(), '2026-11-01T00:00:00.000Z');
    assert.equal(new Date(barAfter(frameOf('1M')!, month) * 1000).toISOString(), '2026-12-01T00:00:00.000Z');
    assert.ok(divides(M1, M5) && !divides(M5, frameOf('3m')!));
    assert.ok(divides(frameOf('1h')!, frameOf('1M')!));
});

test('finer bars are put together: first open, highest, lowest, last close, exact volume', () => {
    const parts: Candle[] = [
        {start: at, open: '1.1', high: '1.3', low: '1.0', close: '1.2', volume: '0.1'},
        {start: at + 60, open: '1.2', high: '10', low: '1.15', close: '9', volume: '0.2'},
        {start: at + 300, open: '9', high: '9', low: '8', close: '8.5', volume: '7'},
    ];
    assert.deepEqual(aggregate(parts, M5), [{start: at, open: '1.1', high: '10', low: '1.0', close: '9', volume: '0.3'}, {start: at + 300, open: '9', high: '9', low: '8', close: '8.5', volume: '7'}]);
    assert.equal(parts[0]!.close, '1.2'); // the parts are not touched
});

test('a bar under way is replaced, in its frame and as a part of a wider one', () => {
    const s = new CandleSeries(M5, M1);
    s.live(bar(at, '10.5', '1'));
    s.live(bar(at, '10.7', '2'));
    s.live(bar(at + 60, '10.9', '0.5'));
    assert.equal(s.size, 1);
    assert.deepEqual([s.last!.close, s.last!.volume], ['10.9', '2.5']);
    s.seed([bar(at - 60, '1', '100'), bar(at, '1', '100'), bar(at + 120, '11', '3')]); // what live has said already stays
    s.live(bar(at + 60, '10.9', '0.6'));
    assert.deepEqual([s.last!.close, s.last!.volume], ['11', '5.6']);
});

test('trades make bars', () => {
    const s = new CandleSeries(S1);
    s.trade(at * 1000 + 10, '0.000000000001', '5');
    s.trade(at * 1000 + 900, '0.000000000003', '0.1');
    s.trade(at * 1000 + 950, '0.000000000002', '0.2');
    assert.deepEqual(s.last, {start: at, open: '0.000000000001', high: '0.000000000003', low: '0.000000000001', close: '0.000000000002', volume: '5.3'});
});

test('a bucket without a bar is an empty slot, not a line across', () => {
    const list = slots([bar(at), bar(at + 60), bar(at + 240)], M1);
    assert.deepEqual(list.map(s => [s.start - at, s.candle !== null]), [[0, true], [60, true], [120, false], [180, false], [240, true]]);
    assert.equal(slots([bar(at), bar(at + 86400 * 30)], M1).filter(s => !s.candle).length, 400);
});

const gapOf = (from: number, to: number) => ({from: from * 1000, to: to * 1000, cause: 'disconnected', at: to * 1000});

test('a gap marks the bars it touches; the live bar behind it is whole again', () => {
    const s = new CandleSeries(M1);
    s.live(bar(at));
    s.gap(gapOf(at + 50, at + 190));
    assert.deepEqual(s.bands().map(b => [b.first - at, b.last - at]), [[0, 180]]);
    s.live(bar(at + 180)); // the venue sends the whole state of the bar under way
    assert.deepEqual(s.bands().map(b => [b.first - at, b.last - at]), [[0, 120]]);
    assert.deepEqual(s.slots().map(x => x.candle !== null), [true, false, false, true]);
});

test('the venue\'s history closes a gap bar by bar; told twice it is one gap', () => {
    const s = new CandleSeries(M1);
    s.live(bar(at));
    s.gap(gapOf(at + 50, at + 190));
    s.gap(gapOf(at + 50, at + 190));
    assert.equal(s.bands().length, 1);
    s.live(bar(at + 180));
    s.filled([bar(at), bar(at + 60)]);
    assert.deepEqual(s.bands().map(b => [b.first - at, b.last - at]), [[120, 120]]);
    s.filled([bar(at + 120)]);
    assert.deepEqual(s.bands(), []);
    assert.equal(s.slots().every(x => x.candle), true);
});

test('a gap inside one bar that the venue sent whole afterwards leaves nothing', () => {
    const s = new CandleSeries(M1);
    s.live(bar(at));
    s.gap(gapOf(at + 10, at + 20));
    assert.equal(s.bands().length, 1);
    s.live(bar(at));
    assert.equal(s.bands().length, 0);
});

test('bars made of trades stay marked, since nobody brings the trades back', () => {
    const s = new CandleSeries(S1);
    s.trade(at * 1000, '1', '1');
    s.gap(gapOf(at, at + 3));
    s.trade((at + 3) * 1000 + 1, '1', '1');
    assert.deepEqual(s.bands().map(b => [b.first - at, b.last - at]), [[0, 3]]);
    assert.deepEqual(s.slots().map(x => x.candle !== null), [true, false, false, true]);
});

test('a wider bar is whole only when each of its parts is', () => {
    const s = new CandleSeries(M5, M1);
    s.live(bar(at));
    s.gap(gapOf(at + 70, at + 130));
    s.live(bar(at + 120));
    assert.deepEqual(s.bands().map(b => b.first - at), [0]); // the part at 60 is still missing
    s.filled([bar(at)]);
    assert.deepEqual(s.bands(), []);
});

test('older history goes ahead of what is there, and a live bar is not set back by it', () => {
    const s = new CandleSeries(M1);
    s.live(bar(at + 120, '12'));
    s.history([bar(at), bar(at + 60), bar(at + 120, '11')]);
    assert.deepEqual(s.slots().map(x => x.candle!.close), ['10.5', '10.5', '12']);
    assert.equal(s.previous(at + 120)!.start, at + 60);
    const changes = s.changes;
    s.live(bar(at + 120, '13'));
    assert.equal(s.changes, changes); // an update of the newest is no change of the rest
});

test('candles of records and of commands', () => {
    assert.equal(candleOf({timestamp: '2026-11-28T10:21:00.000Z', open: '1', high: '2', low: '1', close: '2', volume: '3'})!.start, 1795861260);
    assert.equal(candleOf({ts_event: '1795861260000000000', open: '1', high: '2', low: '1', close: '2'})!.volume, '0');
    assert.equal(candleOf({open: '1', high: '2', low: '1', close: '2'}), null);
    assert.deepEqual(candlesOf([{ts_event: '120000000000', open: '1', high: '1', low: '1', close: '1'}, {ts_event: '60000000000', open: '1', high: '1', low: '1', close: '1'}, null, 'x']).map(c => c.start), [60, 120]);
    assert.deepEqual(candlesOf({}), []);
});
