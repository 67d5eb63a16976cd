# Configuration by Puppet: files first, then one check of the whole, then the reload. A configuration that `torwart check` refuses
# makes the run fail before the daemon hears of it; what runs goes on as it was.
class profile::torwart {
  file { '/etc/torwart':
    ensure    => directory,
    source    => 'puppet:///modules/profile/torwart',
    recurse   => true,
    purge     => true,
    owner     => 'root',
    group     => 'torwart',
    mode      => '0640',
    show_diff => false, # private keys are among them
  }

  # In every run, so that a broken configuration is red until it is mended, and not only in the run that brought it.
  exec { 'torwart-check':
    command   => '/opt/torwart/torwart check --config /etc/torwart/torwart.yaml',
    unless    => '/opt/torwart/torwart check --config /etc/torwart/torwart.yaml',
    user      => 'torwart',
    logoutput => on_failure,
    require   => File['/etc/torwart'],
  }

  exec { 'torwart-reload':
    command     => '/usr/bin/systemctl reload torwart.service',
    refreshonly => true,
    subscribe   => File['/etc/torwart'],
    require     => Exec['torwart-check'],
  }
}
