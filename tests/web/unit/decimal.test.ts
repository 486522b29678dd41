import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as decimal from '../../../web/src/lib/decimal';
import {parseRecord, plain} from '../../../web/src/lib/json';

test('twelve decimals and twenty digits stay as the venue wrote them', () => {
    assert.equal(decimal.padded('0.000001234567', 12), '0.000001234567');
    assert.equal(decimal.padded('95526', 2), '95526.00');
    assert.equal(decimal.padded('12345678901234567890.123456789012', 2), '12345678901234567890.123456789012');
    assert.equal(decimal.grouped('12345678.000001'), '12,345,678.000001');
    assert.equal(decimal.grouped('-1234.5678'), '-1,234.5678');
});

test('sums and differences are exact where floats are not', () => {
    assert.equal(decimal.add('0.1', '0.2'), '0.3');
    assert.equal(decimal.subtract('0.000001234568', '0.000001234567'), '0.000000000001');
    assert.equal(decimal.subtract('95995.8', '95578.25'), '417.55');
    assert.equal(decimal.add('99999999999999999999.9', '0.1'), '100000000000000000000.0');
    assert.equal(decimal.add('1', 'x'), null);
});

test('numbers are compared by value, not by spelling', () => {
    assert.equal(decimal.compare('1.10', '1.1'), 0);
    assert.equal(decimal.compare('9', '10'), -1);
    assert.equal(decimal.compare('-2', '-1'), -1);
    assert.equal(decimal.compare('0.1234567890123456789', '0.1234567890123456788'), 1);
    assert.equal(decimal.canonical('95526.00'), '95526');
    assert.equal(decimal.canonical('1e-7'), '0.0000001');
    assert.equal(decimal.canonical('100'), '100');
});

test('rounding is half away from zero and never through a float', () => {
    assert.equal(decimal.fixed('1.005', 2), '1.01');
    assert.equal(decimal.fixed('-1.005', 2), '-1.01');
    assert.equal(decimal.fixed('2.4', 0), '2');
    assert.equal(decimal.fixed('2', 3), '2.000');
    assert.equal(decimal.ratio('1', '3', 6), '0.333333');
    assert.equal(decimal.ratio('1', '0', 6), null);
});

test('a change is in percent with its sign', () => {
    assert.equal(decimal.change('100', '101.25'), '+1.25');
    assert.equal(decimal.change('0.000001', '0.00000095'), '-5.00');
    assert.equal(decimal.change('5', '5'), '0.00');
    assert.equal(decimal.change('0', '5'), null);
});

test('multiples of a step, of twelve decimals and below zero, too', () => {
    assert.equal(decimal.multiple('95817.13', '0.05'), '95817.10');
    assert.equal(decimal.multiple('95817.13', '0.05', true), '95817.15');
    assert.equal(decimal.multiple('95817.15', '0.05', true), '95817.15');
    assert.equal(decimal.multiple('0.000018401237', '0.00000000001'), '0.00001840123');
    assert.equal(decimal.multiple('-7', '5'), '-10');
    assert.equal(decimal.multiple('-7', '5', true), '-5');
    assert.equal(decimal.multiple('123.4', '10', true), '130');
    assert.equal(decimal.multiple('1', '0'), '1');
});

test('volumes are brief', () => {
    assert.equal(decimal.brief('114384.16135683'), '114.4K');
    assert.equal(decimal.brief('11025684653.86'), '11.03B');
    assert.equal(decimal.brief('1234567'), '1.235M');
    assert.equal(decimal.brief('0.00012345'), '0.0001');
    assert.equal(decimal.brief('5.25'), '5.25');
});

test('what is no decimal stays what it is', () => {
    for (const odd of ['', '.', '-', '1.2.3', '0x10', 'NaN', '1e9999', '<b>']) {
        assert.equal(decimal.parse(odd), null, odd);
        assert.equal(decimal.padded(odd, 2), odd);
    }
});

test('JSON numbers in data keep their digits', () => {
    const r = parseRecord('{"seq":"1","kind":"data","connection":1,"data":{"open":95794.10,"low":0.000000123456,"volume":12345678901234567890.5,"tiny":1.5E-7,"list":[1.0]}}') as {connection: unknown; data: Record<string, unknown>};
    assert.deepEqual(r.data, {open: '95794.10', low: '0.000000123456', volume: '12345678901234567890.5', tiny: '0.00000015', list: ['1.0']});
    const fast = parseRecord('{"kind":"data","connection":1,"data":{"price":"1.10"}}') as {connection: unknown};
    assert.equal(fast.connection, 1);
    assert.equal(plain('-2.5e3'), '-2500');
    assert.equal(plain('1e-3'), '0.001');
});
