# triage.ps1 writes down what runs on a Windows host, sends that text to S3, and
# prints one line of JSON. It is the body of the document for Windows; nothing else
# runs on the host. An image of the memory is not tried: the capture program is
# for Linux.
#
# It wants Windows PowerShell 5.1, as SYSTEM. It calls no cmdlet and loads no
# module, which PowerShell would look up, analyse and keep a cache of on the disk:
# WMI and .NET's own classes say all there is here. It writes no file.
#
# What it prints is a claim: a rootkit that hides from WMI is not in it. Sections
# begin in the first column; whatever the host's own words are, they begin further
# right, and what is no printable character in them is a question mark.
# Environments are left out, since keys and passwords stand in them.
#
# Set by the document: $incident and $batch, the pre-signed address of a text file
# whose form is in capture.sh. The agent gives the file an argument of its own
# ("; exit ..."), so that it may have no parameters.
$ErrorActionPreference = 'Stop'

# Under a policy that allows only signed scripts no method may be called.
if ($ExecutionContext.SessionState.LanguageMode -ne 'FullLanguage') {
    '{"status":"skipped","reason":"no-language"}'
    exit 1
}
if ($PSVersionTable.PSVersion.Major -lt 5) {
    '{"status":"skipped","reason":"old-powershell"}'
    exit 1
}

$began = [DateTime]::UtcNow
$until = $began.AddMinutes(8)   # when it stops asking
$last = $began.AddMinutes(16)   # when it stops sending; the document ends it after 20
$limit = 8388544                # bytes of text: 8 MiB, less room for the last line
$longest = 32768                # characters of one value: Windows' longest command line
$said = @{ text = [Text.StringBuilder]::new(); bytes = 0; full = $false }

# Add-Line adds a line to the text, unless there is no more room.
function Add-Line($line) {
    $size = [Text.Encoding]::UTF8.GetByteCount($line) + 1
    if ($said.full -or $said.bytes + $size -gt $limit) {
        $said.full = $true
        return
    }
    [void]$said.text.Append($line).Append("`n")
    $said.bytes += $size
}

# Get-Text is a value as one line of printable characters.
function Get-Text($value, $depth) {
    if ($null -eq $value) {
        return ''
    }
    if ($value -is [array]) {
        $all = foreach ($one in $value) { Get-Text $one $depth }
        return $all -join ', '
    }
    if ($value -is [System.Management.ManagementBaseObject]) {
        if ($depth -ge 3) {
            return '...'
        }
        $all = foreach ($one in $value.Properties) {
            if ($null -ne $one.Value) { $one.Name + '=' + (Get-Text $one.Value ($depth + 1)) }
        }
        return '{ ' + ($all -join '; ') + ' }'
    }
    $text = [regex]::Replace([string]$value, '[\p{C}\p{Zl}\p{Zp}]', '?')
    if ($text.Length -gt $longest) {
        $text = $text.Substring(0, $longest) + ' (cut)'
    }
    return $text
}

# Get-Owner is whose process it is.
function Get-Owner($process) {
    try {
        $owner = $process.GetOwner()
        if ($owner.ReturnValue -ne 0) {
            return 'unknown: code ' + $owner.ReturnValue
        }
        return Get-Text ($owner.Domain + '\' + $owner.User) 0
    } catch {
        return 'unknown: ' + (Get-Text $_.Exception.Message 0)
    }
}

# Add-Section prints a section: what its block makes of the host, or why it does not.
function Add-Section($title, $block) {
    Add-Line ''
    Add-Line ('== ' + $title)
    if ([DateTime]::UtcNow -gt $until) {
        Add-Line "`tskipped: out of time"
        return
    }
    try {
        & $block
    } catch {
        Add-Line ("`tskipped: " + (Get-Text $_.Exception.Message 0))
    }
}

# Add-Query is a section of what WMI knows: of each object the properties named,
# the first of which heads the rest. Owner() stands for what Get-Owner says.
function Add-Query($title, $space, $query, $names) {
    Add-Section $title {
        $search = [wmisearcher]::new($space, $query)
        $search.Options.Timeout = [TimeSpan]::FromSeconds(60)
        $search.Options.ReturnImmediately = $true
        $search.Options.Rewindable = $false
        foreach ($found in $search.Get()) {
            $margin = "`t"
            foreach ($name in $names) {
                if ($name -eq 'Owner()') {
                    $text = Get-Owner $found
                } else {
                    $text = Get-Text $found.$name 0
                }
                Add-Line ($margin + $name + ': ' + $text)
                $margin = "`t`t"
            }
            if ([DateTime]::UtcNow -gt $until) {
                Add-Line "`tcut: out of time"
                return
            }
        }
    }
}

# Add-Triage prints all of it; what is wanted most comes first.
function Add-Triage {
    $cim = 'root\cimv2'
    $net = 'root\StandardCimv2'
    $smb = 'root\Microsoft\Windows\SMB'
    $wmi = 'root\subscription'
    Add-Line 'cordon-triage 1'
    Add-Query 'system' $cim 'select * from Win32_OperatingSystem' @('Caption', 'Version', 'OSArchitecture', 'InstallDate', 'LastBootUpTime', 'LocalDateTime', 'TotalVisibleMemorySize', 'FreePhysicalMemory')
    Add-Query 'computer' $cim 'select * from Win32_ComputerSystem' @('Name', 'Domain', 'DomainRole', 'UserName', 'Model')
    Add-Query 'processes' $cim 'select * from Win32_Process' @('ProcessId', 'ParentProcessId', 'Name', 'CreationDate', 'SessionId', 'Owner()', 'ExecutablePath', 'CommandLine')
    Add-Query 'TCP (State 2 listens, 5 is established)' $net 'select * from MSFT_NetTCPConnection' @('OwningProcess', 'State', 'LocalAddress', 'LocalPort', 'RemoteAddress', 'RemotePort', 'CreationTime')
    Add-Query 'UDP' $net 'select * from MSFT_NetUDPEndpoint' @('OwningProcess', 'LocalAddress', 'LocalPort', 'CreationTime')
    Add-Query 'logon sessions' $cim 'select * from Win32_LogonSession' @('LogonId', 'LogonType', 'StartTime', 'AuthenticationPackage')
    Add-Query 'users of logon sessions' $cim 'select * from Win32_LoggedOnUser' @('Dependent', 'Antecedent')
    Add-Query 'services' $cim 'select * from Win32_Service' @('Name', 'State', 'StartMode', 'ProcessId', 'StartName', 'PathName')
    Add-Query 'drivers' $cim 'select * from Win32_SystemDriver' @('Name', 'State', 'StartMode', 'PathName')
    Add-Query 'scheduled tasks' 'root\Microsoft\Windows\TaskScheduler' 'select * from MSFT_ScheduledTask' @('TaskName', 'TaskPath', 'State', 'Author', 'Date', 'Principal', 'Actions', 'Triggers')
    Add-Query 'startup commands' $cim 'select * from Win32_StartupCommand' @('Name', 'Command', 'Location', 'User')
    Add-Query 'WMI event filters' $wmi 'select * from __EventFilter' @('Name', 'EventNamespace', 'Query')
    Add-Query 'WMI command consumers' $wmi 'select * from CommandLineEventConsumer' @('Name', 'ExecutablePath', 'CommandLineTemplate')
    Add-Query 'WMI script consumers' $wmi 'select * from ActiveScriptEventConsumer' @('Name', 'ScriptingEngine', 'ScriptFileName', 'ScriptText')
    Add-Query 'WMI bindings' $wmi 'select * from __FilterToConsumerBinding' @('Filter', 'Consumer')
    Add-Query 'DNS cache' $net 'select * from MSFT_DNSClientCache' @('Entry', 'Name', 'Type', 'Data', 'TimeToLive', 'Status')
    Add-Query 'neighbours' $net 'select * from MSFT_NetNeighbor' @('IPAddress', 'LinkLayerAddress', 'InterfaceIndex', 'State')
    Add-Query 'routes' $net 'select * from MSFT_NetRoute' @('DestinationPrefix', 'NextHop', 'InterfaceIndex', 'RouteMetric')
    Add-Query 'interfaces' $cim 'select * from Win32_NetworkAdapterConfiguration where IPEnabled = true' @('InterfaceIndex', 'Description', 'MACAddress', 'IPAddress', 'DefaultIPGateway', 'DNSServerSearchOrder')
    Add-Query 'volumes' $cim 'select * from Win32_Volume' @('Name', 'DeviceID', 'DriveType', 'FileSystem', 'Capacity', 'FreeSpace')
    Add-Query 'mount points' $cim 'select * from Win32_MountPoint' @('Directory', 'Volume')
    Add-Query 'shadow copies' $cim 'select * from Win32_ShadowCopy' @('ID', 'InstallDate', 'VolumeName')
    Add-Query 'shares' $cim 'select * from Win32_Share' @('Name', 'Path', 'Type')
    Add-Query 'network drives' $cim 'select * from Win32_NetworkConnection' @('RemoteName', 'LocalName', 'UserName')
    Add-Query 'SMB sessions' $smb 'select * from MSFT_SmbSession' @('ClientComputerName', 'ClientUserName', 'NumOpens', 'SecondsExists')
    Add-Query 'SMB open files' $smb 'select * from MSFT_SmbOpenFile' @('Path', 'ClientComputerName', 'ClientUserName')
    Add-Section 'named pipes' {
        foreach ($pipe in [IO.Directory]::GetFiles('\\.\pipe\')) {
            Add-Line ("`t" + (Get-Text $pipe 0))
        }
    }
    Add-Section 'files that processes have loaded' {
        foreach ($process in [Diagnostics.Process]::GetProcesses()) {
            Add-Line ("`tProcessId: " + $process.Id)
            try {
                foreach ($module in $process.Modules) {
                    Add-Line ("`t`t" + (Get-Text $module.FileName 0))
                }
            } catch {
                Add-Line ("`t`tskipped: " + (Get-Text $_.Exception.Message 0))
            }
            if ([DateTime]::UtcNow -gt $until) {
                Add-Line "`tcut: out of time"
                return
            }
        }
    }
}

# Get-Answer makes a request: the body of S3's answer, 64 KiB of it at most, or
# nothing where that is not 200. S3 refuses x-amz headers that were not signed;
# none is added. It asks no proxy, follows nowhere, and waits for no 100.
function Get-Answer($method, $address, $bytes) {
    $response = $null
    try {
        $request = [Net.WebRequest]::CreateHttp($address)
        $request.Method = $method
        $request.Proxy = $null
        $request.AllowAutoRedirect = $false
        $request.ServicePoint.Expect100Continue = $false
        if ($null -ne $bytes) {
            $request.ContentLength = $bytes.Length
            $stream = $request.GetRequestStream()
            $stream.Write($bytes, 0, $bytes.Length)
            $stream.Close()
        }
        $response = $request.GetResponse()
        if ([int]$response.StatusCode -ne 200) {
            return $null
        }
        $reader = [IO.StreamReader]::new($response.GetResponseStream())
        $buffer = [char[]]::new(65536)
        $length = $reader.ReadBlock($buffer, 0, $buffer.Length)
        return [string]::new($buffer, 0, $length)
    } catch {
        # S3 refused, or was not reached: asked again. An answer that stays open would
        # hold one of the two connections that .NET makes to a host.
        for ($cause = $_.Exception; $null -ne $cause; $cause = $cause.InnerException) {
            if ($cause -is [Net.WebException] -and $null -ne $cause.Response) { $cause.Response.Close() }
        }
        return $null
    } finally {
        if ($null -ne $response) { $response.Close() }
    }
}

# Get-Address is the address where the text may be put; nothing if the batch is not whole.
function Get-Address($text) {
    $lines = $text.TrimEnd().Split("`n")
    if ($lines[0] -cne 'cordon-batch 1' -or $lines[-1] -cne 'end') {
        return $null
    }
    foreach ($line in $lines) {
        if ($line.StartsWith('triage https://', [StringComparison]::Ordinal)) {
            return $line.Substring(7)
        }
    }
}

# Stop-Triage ends the script with its one line. The reason is a word of the table
# in reasons.go; it ends as a capture without an image does, with 1.
function Stop-Triage($status, $reason, $sum) {
    $machine = [regex]::Replace([string]$env:PROCESSOR_ARCHITECTURE, '[^A-Za-z0-9_]', '')
    [Console]::Out.WriteLine('{"status":"' + $status + '","reason":"' + $reason + '","kernel":"Windows ' + [Environment]::OSVersion.Version +
        '","machine":"' + $machine + '","footprintKiB":' + [long]([Environment]::WorkingSet / 1024) + ',"tool":-1,"triage":"' + $sum + '"}')
    exit 1
}

try {
    # A command that was sent twice must not write the text twice.
    $mutex = [Threading.Mutex]::new($false, 'Global\cordon-' + $incident)
    if (-not $mutex.WaitOne(0)) {
        Stop-Triage 'skipped' 'busy' ''
    }
    # Windows Server 2016 does not offer it unless asked; S3 takes nothing older.
    [Net.ServicePointManager]::SecurityProtocol = [Net.SecurityProtocolType]::Tls12

    $address = $null
    for ($try = 0; $try -lt 20 -and $null -eq $address -and [DateTime]::UtcNow -lt $last; $try++) {
        if ($try -gt 0) { [Threading.Thread]::Sleep(5000) }
        $answer = Get-Answer 'GET' $batch $null
        if ($null -ne $answer) { $address = Get-Address $answer }
    }
    if ($null -eq $address) {
        Stop-Triage 'failed' 'no-batch' ''
    }

    Add-Triage
    $end = "`n== end`n"
    if ($said.full) { $end = "`n== cut at 8 MiB`n" }
    $bytes = [Text.UTF8Encoding]::new($false).GetBytes($said.text.ToString() + $end)
    # This class is the one that a host in FIPS mode allows.
    $sum = [BitConverter]::ToString([Security.Cryptography.SHA256CryptoServiceProvider]::new().ComputeHash($bytes)).Replace('-', '').ToLowerInvariant()

    for ($try = 0; $try -lt 20 -and [DateTime]::UtcNow -lt $last; $try++) {
        if ($try -gt 0) { [Threading.Thread]::Sleep(5000) }
        if ($null -ne (Get-Answer 'PUT' $address $bytes)) {
            Stop-Triage 'skipped' 'windows' $sum
        }
    }
    Stop-Triage 'failed' 'text-refused' ''
} catch {
    Stop-Triage 'failed' 'script-failed' ''
}
