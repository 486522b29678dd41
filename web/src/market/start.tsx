// A part of the market page whose stream nobody started offers to start it.

import * as api from '../state/api';
import {isOf, type Pick} from '../state/layout';
import {mayOperate} from '../state/session';
import {plugins, refresh, streams} from '../state/things';
import {Button} from '../ui/parts';
import {t} from '../text';

/** By the connection that has the symbol's other streams; candles of this frame, else of the usual one. */
export function StartStream({pick, type, frame, label = t.market.startIt}: {pick: Pick; type: string; frame?: string; label?: string}) {
    const plugin = plugins.value?.find(p => p.id === pick.plugin);
    const connection = pick.connection ?? streams.value?.find(s => isOf(s, pick))?.connection;
    if (!mayOperate.value || connection === undefined || !plugin?.stream_types.includes(type)) return null;
    const frames = plugin.timeframes;
    const parameters = type === 'ohlcv' ? {timeframe: frame !== undefined && frames.includes(frame) ? frame : frames.includes('1m') ? '1m' : frames[0] ?? '1m'} : {};
    const start = (): Promise<void> => api.post('/v1/streams', {connection, type, identifier: pick.identifier, parameters}).then(() => refresh('streams'));
    return <Button onClick={start}>{label}</Button>;
}
