// An empty installation: what to do next, and where each step is done already.

import {href} from '../state/route';
import {mayAdmin} from '../state/session';
import {connections, node, plugins} from '../state/things';
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
                    <p>{t.welcome.connectionHow} {has && <a href={href('connections', 'new')}>{t.welcome.connectionGo}</a>}</p>
                </li>
                <li>
                    <h2>{t.welcome.stream}</h2>
                    <p>{t.welcome.streamHow} {connected && <a href={href('streams', 'new')}>{t.welcome.streamGo}</a>}</p>
                </li>
            </ol>
            {!node.value?.demo && <p class="note">{t.welcome.demo} <code>weir serve --demo</code></p>}
        </div>
    );
}
