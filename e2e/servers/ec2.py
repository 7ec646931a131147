"""moto as EC2, with what it gets wrong about interfaces put right.

moto adds an instance's groups to those of its interfaces, so that nothing is
ever isolated, and takes groups that do not exist. EC2 does neither:
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyNetworkInterfaceAttribute.html
"""
from moto.ec2.exceptions import InvalidSecurityGroupNotFoundError
from moto.ec2.models.elastic_network_interfaces import NetworkInterface, NetworkInterfaceBackend
from moto.server import main

NetworkInterface.group_set = property(lambda self: self._group_set)
modify = NetworkInterfaceBackend.modify_network_interface_attribute


def modify_network_interface_attribute(self, eni_id, group_ids, *rest):
    for group in group_ids:
        if not self.get_security_group_from_id(group):
            raise InvalidSecurityGroupNotFoundError(group)
    modify(self, eni_id, group_ids, *rest)
    interface = self.get_network_interface(eni_id)
    if interface.instance and interface.device_index == 0:
        interface.instance.security_groups = interface._group_set


NetworkInterfaceBackend.modify_network_interface_attribute = modify_network_interface_attribute
main()
