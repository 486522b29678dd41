import assert from 'node:assert/strict';
import {test} from 'node:test';
import {Book, depth, grouped, spread} from '../../../web/src/lib/book';
import {show, showLines} from '../../../web/src/lib/show';
import {duration, ms, octets} from '../../../web/src/lib/time';
import {token, topicOf} from '../../../web/src/lib/topic';

test('control characters, direction marks and what has no width are seen', () => {
    assert.equal(show('a\u0007b\u001b[31m\u202eexe\u200b\ufeff'), 'a\\u{7}b\\u{1b}[31m\\u{202e}exe\\u{200b}\\u{feff}');
    assert.equal(show('a\nb\t\r'), 'a\\nb\\t\\r');
    assert.equal(show('\ud800x'), '\\u{d800}x');
    assert.equal(show('Zürich 東京 🙂'), 'Zürich 東京 🙂');
    assert.equal(show({a: '\u0000'}), '{"a":"\\u0000"}');
    assert.equal(showLines('a\r\nb\u0000\tc'), 'a\nb\\u{0}\tc');
});

test('topics are spelt as the hub spells them', () => {
    assert.equal(topicOf({type: 'ohlcv', source: 'woox-datasource', identifier: 'BTC.PERP', parameters: {timeframe: '1m', a: null}}), 'ohlcv.woox-datasource.BTC%2EPERP.1m');
    assert.equal(token(''), '%');
    assert.equal(token('a b*>%\u007f'), 'a%20b%2A%3E%25%7F');
    assert.equal(topicOf({type: 't', source: 's', identifier: 'é', parameters: {z: 1, b: true}}), 't.s.é.true.1');
});

test('a book takes snapshots and changes, in the venue\'s texts', () => {
    const b = new Book();
    b.apply({type: 'delta', bids: [['10', '1']], asks: []});
    assert.equal(b.whole, false);
    b.apply({type: 'snapshot', bids: [['10.0', '1'], ['9.5', '2']], asks: [['10.50', '3'], ['11', '4']]});
    assert.equal(b.whole, true);
    assert.equal(spread(b), '0.50');
    b.apply({type: 'delta', bids: [['10', '0'], ['9.75', '5']], asks: [['10.5', '1']]}); // 10 takes 10.0 away
    assert.deepEqual(b.bids.map(l => [l.price, l.size]), [['9.75', '5'], ['9.5', '2']]);
    assert.deepEqual(b.asks.map(l => [l.price, l.size]), [['10.50', '1'], ['11', '4']]);
    assert.deepEqual(depth(b, 2), {bids: '7', asks: '5', imbalance: 2 / 12});
    b.apply({flags: ['maybe_bad'], bids: [], asks: []});
    assert.equal(b.doubtful, true);
    b.apply({flags: ['snapshot', 'last'], bids: [['1', '1']], asks: []});
    assert.deepEqual([b.doubtful, b.bids.length, b.asks.length, spread(b)], [false, 1, 0, null]);
});

test('levels are put together in steps: bids downwards, asks upwards, sizes exactly', () => {
    const b = new Book();
    b.apply({bids: [['100.07', '0.1'], ['100.05', '0.2'], ['100.04', '1'], ['99.99', '5']], asks: [['100.08', '0.1'], ['100.10', '0.2'], ['100.11', '7']]});
    const shown = (side: {price: string; size: string}[]) => side.map(l => [l.price, l.size]);
    assert.deepEqual(shown(grouped(b.bids, '0.05', false, 9)), [['100.05', '0.3'], ['100.00', '1'], ['99.95', '5']]);
    assert.deepEqual(shown(grouped(b.asks, '0.05', true, 9)), [['100.10', '0.3'], ['100.15', '7']]);
    assert.deepEqual(shown(grouped(b.bids, '10', false, 1)), [['100', '1.3']]);
    assert.deepEqual(shown(grouped(b.bids, '0.05', false, 2)).length, 2);
    assert.equal(b.bids[0]!.size, '0.1', 'the book itself is as it was');
});

test('prices that are one float apart are two levels', () => {
    const b = new Book();
    b.apply({type: 'snapshot', bids: [['95817.12345678901234', '1'], ['95817.12345678901235', '2']], asks: []});
    assert.deepEqual(b.bids.map(l => l.price), ['95817.12345678901235', '95817.12345678901234']);
});

test('levels that are none are passed over', () => {
    const b = new Book();
    b.apply({bids: [['x', '1'], null, ['1'], ['2', '3']], asks: 'no'});
    assert.deepEqual(b.bids.map(l => l.price), ['2', '1']);
});

test('times', () => {
    assert.equal(ms('1700000000004000000'), 1700000000004);
    assert.equal(ms(null), null);
    assert.equal(ms('x'), null);
    assert.equal(duration(400), '0.4s');
    assert.equal(duration(125000), '2m 05s');
    assert.equal(duration(-5), '0.0s');
    assert.equal(octets(1536), '1.5 KiB');
});
