// A plugin that needs no settings is connected by one press.

import * as api from '../state/api';
import {mayOperate} from '../state/session';
import {connections, plugins, refresh} from '../state/things';
import {show} from '../lib/show';
import {Button} from '../ui/parts';
import {toast} from '../ui/toast';
import {t} from '../text';

export function ConnectPlain() {
    if (!mayOperate.value) return null;
    const ready = (plugins.value ?? []).filter(p => p.state === 'ready' && !p.fields.some(f => f.required && (f.default === undefined || f.default === null)) && !(connections.value ?? []).some(c => c.plugin === p.id));
    return (
        <>
            {ready.map(p => (
                <Button kind="main" onClick={() => api.post('/v1/connections', {plugin: p.id, name: p.name, config: {}}).then(() => refresh('connections', 'plugins')).then(() => toast(t.welcome.connected(p.name)))}>
                    {t.welcome.connectPlain(show(p.name))}
                </Button>
            ))}
        </>
    );
}
