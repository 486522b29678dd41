// An empty installation: what to do next, and where each step is done already.

import {adding} from '../market/add';
import {href} from '../state/route';
import {mayAdmin, mayOperate} from '../state/session';
import {connections, node, plugins} from '../state/things';
import {Button} from '../ui/parts';
import {ConnectPlain} from './connect';
import {UploadZone} from './upload';
import {t} from '../text';

export function Welcome() {
    const has = (plugins.value ?? []).length > 0, connected = (connections.value ?? []).length > 0;
    return (
        <div class="page welcome">
            <h1>{t.welcome.title}</h1>
            <p>{t.welcome.what}</p>
            <ol class="steps">
                <li class={has ? 'done' : ''}>
                    <h2>{t.welcome.plugin}{has && ' — ' + t.welcome.done}</h2>
                    {has ? <p><a href={href('plugins')}>{t.welcome.pluginSee}</a></p> : <>
                        <p>{t.welcome.pluginHow}</p>
                        {mayAdmin.value ? <UploadZone /> : <p class="note">{t.welcome.needAdmin}</p>}
                    </>}
                </li>
                <li class={connected ? 'done' : ''}>
                    <h2>{t.welcome.connection}{connected && ' — ' + t.welcome.done}</h2>
                    <p>{t.welcome.connectionHow} </p>
                    {has && <div class="row"><ConnectPlain /><a class="button" href={href('connections', 'new')}>{t.welcome.connectionGo}</a></div>}
                </li>
                <li>
                    <h2>{t.welcome.stream}</h2>
                    <p>{t.welcome.streamHow} </p>
                    {connected && mayOperate.value && <div class="row"><Button kind="main" onClick={() => { adding.value = true; }}>{t.welcome.symbolGo}</Button><a class="button" href={href('streams', 'new')}>{t.welcome.streamGo}</a></div>}
                </li>
            </ol>
            {!node.value?.demo && <p class="note">{t.welcome.demo} <code>weir serve --demo</code></p>}
        </div>
    );
}
